import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { requireCommand } from '../support/require-command.ts';
import { type Started, temporaryFolder } from '../support/services/disposable.ts';
import { mbsync } from '../support/services/mbsync.ts';
import {
  fetchmail,
  getmail,
  offlineimap,
  type PullingClient,
  type PullingOptions,
} from '../support/services/pulling-clients.ts';
import { ImapClient } from './support/imap-client.ts';
import { octetsOf } from './support/imap-response.ts';
import { type SeededMailbox, seededMailbox, sha256 } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
let options: PullingOptions;
/** What a client finds that downloads each message whole. */
const views: Buffer[] = [];

beforeAll(async () => {
  mailbox = await seededMailbox({ imap: { rawLoginSuffix: '+raw' } });
  const { system } = mailbox;
  options = { port: system.imapPort, ...system.user('bob'), caFile: system.pki.ca.certificateFile };
});
afterAll(() => mailbox?.stop());

test('24: all sizes, as getmail asks for them, use no key', async () => {
  const client = await mailbox.through('EXAMINE INBOX');
  const sizes = await client.fetch('FETCH 1:* (UID RFC822.SIZE)');
  expect(sizes.map(({ items }) => Number(items.get('RFC822.SIZE')))).toEqual(
    mailbox.messages.map(({ octets }) => octets.length),
  );
  expect(mailbox.keyUses()).toBe(0);
  for (const { items } of await client.fetch('UID FETCH 1:* (BODY.PEEK[])'))
    views.push(octetsOf(items.get('BODY[]')));
  client.close();
});

describe.each<[string, (options: PullingOptions) => Promise<Started<PullingClient>>]>([
  ['getmail', getmail],
  ['fetchmail', fetchmail],
  ['OfflineIMAP', offlineimap],
])('%s', (name, start) => {
  test(`${name === 'getmail' ? '24' : '25'}: pulls every class as it is shown; the second run finds nothing new, and nothing has changed`, async () => {
    const before = await mailbox.originals();
    await using client = await start(options);
    const first = await client.pull();
    expect(first.succeeded, first.transcript).toBe(true);
    const pulled = (await client.mails()).map(plain).sort();
    expect(pulled).toEqual(views.map(plain).sort());
    const uses = mailbox.keyUses();
    const second = await client.pull();
    expect(second.succeeded, second.transcript).toBe(true);
    expect((await client.mails()).length).toBe(views.length);
    expect(mailbox.keyUses()).toBe(uses);
    expect(await mailbox.originals()).toEqual(before);
  });
});

/** Without what the clients themselves do: line ends, fields of their own; getmail folds header fields anew. */
function plain(octets: Buffer): string {
  return octets
    .toString('latin1')
    .replace(/\r\n/g, '\n')
    .replace(/^(?:X-OfflineIMAP|X-getmail-retrieved-from-mailbox|Return-Path): .*\n/gm, '')
    .replace(/\n[ \t]+/g, ' ')
    .replace(/[ \n]+/g, ' ')
    .trim();
}

test('25: curl finds by UID and section what everybody finds', async () => {
  const curl = await requireCommand('curl');
  const { folder, remove } = await temporaryFolder('curl');
  const rc = join(folder, 'curlrc');
  const { login, password, caFile, port } = options;
  await writeFile(rc, `user = "${login}:${password}"\ncacert = "${caFile}"\nsilent\nshow-error\n`, {
    mode: 0o600,
  });
  const client = await mailbox.through('EXAMINE INBOX');
  const { uid } = mailbox.message('enveloped by GCM');
  for (const section of ['', 'HEADER', 'TEXT', '1.1', '1.2', '1.2.MIME']) {
    const place = section === '' ? '' : `/;SECTION=${section}`;
    const url = `imaps://localhost:${port}/INBOX;UID=${uid}${place}`;
    const { stdout, stderr, failure } = await runToEnd(curl, ['-K', rc, url], { env: { HOME: folder } });
    expect([section, failure, stderr]).toEqual([section, null, '']);
    expect([section, stdout.equals(await client.item(uid, `BODY.PEEK[${section}]`))]).toEqual([
      section,
      true,
    ]);
  }
  client.close();
  await remove();
});

test('25: a backup program with the raw login has the originals, octet for octet, and uses no key', async () => {
  const { system, messages } = mailbox;
  const before = await mailbox.originals();
  const uses = mailbox.keyUses();
  const raw = await ImapClient.open(system.imapPort, system.pki.ca.certificate);
  await raw.login(`${options.login}+raw`, options.password);
  await raw.ok('EXAMINE INBOX');
  for (const { uid, name, octets } of messages)
    expect([name, (await raw.item(uid, 'BODY.PEEK[]')).equals(octets)]).toEqual([name, true]);
  raw.close();
  await using client = await mbsync({
    port: options.port,
    login: `${options.login}+raw`,
    password: options.password,
    tls: 'implicit',
    caFile: options.caFile,
    patterns: 'INBOX',
  });
  const { succeeded, transcript } = await client.sync();
  expect(succeeded, transcript).toBe(true);
  const pulled = await Promise.all(
    ['new', 'cur'].map(async (part) =>
      Promise.all(
        (await readdir(join(client.inbox, part))).map((file) => readFile(join(client.inbox, part, file))),
      ),
    ),
  );
  // mbsync marks what it pulls with a field of its own.
  const digests = pulled
    .flat()
    .map((mail) => sha256(Buffer.from(mail.toString('latin1').replace(/^X-TUID: .*\n/m, ''), 'latin1')));
  expect(digests.sort()).toEqual(before);
  expect(mailbox.keyUses()).toBe(uses);
  expect(await mailbox.originals()).toEqual(before);
});
