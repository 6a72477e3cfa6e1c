import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import type { Event } from '../../src/log/events.ts';
import { listQueue, retryNow } from '../../src/queue/by-hand.ts';
import { openQueueStore } from '../../src/store/queue-migrations.ts';
import { eventually } from '../support/eventually.ts';
import { addressOf, type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';
import { temporaryFolder } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import { type Gate, openGate } from './support/gate.ts';
import { MASTER, mailsIn, masterSettings } from './support/master-dovecot.ts';

/** A gateway whose rules copy into the mailboxes of a second Dovecot, by its master user, and tell somebody of it. */

const ALICE = { login: addressOf('alice'), password: 'pass-alice' };
const CAROL = { login: addressOf('carol'), password: 'pass-carol' };
const BOB = { login: addressOf('bob'), password: 'pass-bob' };
const WATCHED = { notify: [addressOf('carol')] };

let system: MailSystem;
let master: Awaited<ReturnType<typeof masterSettings>>;
let dovecot: Awaited<ReturnType<typeof services.dovecot>>;
let gate: Gate;
let secrets: Awaited<ReturnType<typeof temporaryFolder>>;
const startArchive = () => services.dovecot({ users: [ALICE, BOB], further: master.settings });
beforeAll(async () => {
  master = await masterSettings();
  dovecot = await startArchive();
  gate = await openGate(dovecot.imapPort);
  secrets = await temporaryFolder('archive');
  const password = join(secrets.folder, 'archive.password');
  await writeFile(password, MASTER.password, { mode: 0o600 });
  const archive = { name: 'sent', host: '127.0.0.1', port: gate.port, tls: 'none', login: '{login}*gateway' };
  system = await startMailSystem({
    users: ['alice', 'bob', 'carol', 'dave'],
    withoutKeys: ['carol'],
    pinned: ['bob'],
    queue: {},
    sections: { archives: [{ ...archive, password: { file: password }, mailbox: 'Sent' }] },
    rules: [
      {
        name: 'refused',
        when: { recipient: [addressOf('dave')] },
        sign: 'require',
        encrypt: 'require',
        appendTo: 'sent',
        ...WATCHED,
      },
      { name: 'copied', sign: 'require', encrypt: 'if-possible', appendTo: 'sent', ...WATCHED },
    ],
  });
});
afterAll(async () => {
  await system?.stop();
  await gate?.close();
  await dovecot?.stop();
  await master?.remove();
  await secrets?.remove();
});

const events = (name: Event['event']) => system.events.filter(({ event }) => event === name);
/** Notices for carol, oldest first. */
const notices = async () =>
  (await mailsIn(system.dovecot.imapPort, CAROL, 'INBOX')).map(({ source }) => source);

test('a mail leaves encrypted, its copy lies in the sender’s own mailbox as it left, and who is to know is told', async () => {
  await system.send('alice', { to: addressOf('bob'), subject: 'the boathouse', text: 'the key is there' });
  const left = system.taken().find(({ envelope }) => envelope.login === ALICE.login);
  const [copy] = await eventually(async () => {
    const mails = await mailsIn(dovecot.imapPort, ALICE, 'Sent');
    expect(mails).toHaveLength(1);
    return mails;
  });
  expect(copy?.flags).toContain('\\Seen');
  expect(copy?.source.toString('latin1')).toBe(left?.octets.toString('latin1'));
  expect(copy?.source.toString('latin1')).toMatch(/^Content-Type: application\/pkcs7-mime/m);
  expect(await mailsIn(dovecot.imapPort, BOB, 'Sent')).toEqual([]);
  const [notice] = await eventually(async () => {
    const found = await notices();
    expect(found).toHaveLength(1);
    return found;
  });
  const said = (await opensslVerify(system, notice ?? Buffer.alloc(0))).toString();
  expect(said).toContain(`To ${addressOf('bob')}: sent, signed and encrypted`);
  expect(notice?.toString()).toContain('Auto-Submitted: auto-generated');
  expect(notice?.toString()).not.toMatch(/boathouse|the key is there/);
});

test('a mail that is refused leaves no copy, and who is to know is told', async () => {
  const told = (await notices()).length;
  await eventually(async () => expect(await waiting()).toEqual([]));
  const stored = events('archive.stored').length;
  await expect(system.send('alice', { to: addressOf('dave'), subject: 'no way', text: 'x' })).rejects.toThrow(
    /554|550/,
  );
  const notice = await eventually(async () => {
    const found = await notices();
    expect(found).toHaveLength(told + 1);
    return found.at(-1);
  });
  expect(notice?.toString()).toContain(`To ${addressOf('dave')}: not sent`);
  // The mail server refuses what the rules let through: nobody has it, and neither has the archive.
  await expect(
    system.send('alice', { to: addressOf('nobody'), subject: 'nobody is there', text: 'x' }),
  ).rejects.toThrow(/550/);
  await eventually(async () => expect(await waiting()).toEqual([]));
  // A copy would have come by now.
  expect(events('archive.stored')).toHaveLength(stored);
});

/** What is in the queue, as `sealgate queue list` sees it. */
async function waiting(): Promise<readonly string[]> {
  const store = await openQueueStore(join(system.folder, 'state'));
  try {
    return (await listQueue(store, {}, 100)).map(({ purpose }) => purpose);
  } finally {
    await store.close();
  }
}

test('mail leaves while the archive is away; its copy waits, over a restart of the gateway too, and comes when the archive is back', async () => {
  await dovecot.stop();
  await system.send('alice', { to: addressOf('bob'), subject: 'meanwhile', text: 'x' });
  const left = system.taken().find(({ envelope }) => envelope.login === ALICE.login);
  await eventually(() => expect(events('queue.delayed')).toMatchObject([{ purpose: 'archive' }]));
  await system.gateway.close();
  expect(await waiting()).toContain('archive');

  dovecot = await startArchive();
  gate.leadTo(dovecot.imapPort);
  const store = await openQueueStore(join(system.folder, 'state'));
  await retryNow(store, {}, new Date());
  await store.close();
  const loaded = await loadConfig(system.configFile);
  if (loaded.kind === 'invalid') throw new Error('invalid');
  let gateway: Gateway | null = null;
  try {
    gateway = await startGateway(loaded.config, { write: () => undefined });
    const [copy] = await eventually(async () => {
      const mails = await mailsIn(dovecot.imapPort, ALICE, 'Sent');
      expect(mails).toHaveLength(1);
      return mails;
    });
    expect(copy?.source.equals(left?.octets ?? Buffer.alloc(0))).toBe(true);
  } finally {
    await gateway?.close();
  }
  expect(await waiting()).not.toContain('archive');
});
