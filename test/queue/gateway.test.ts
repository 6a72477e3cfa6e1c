import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { Opened } from '../../src/gateway/opening.ts';
import { type OwnQueue, openQueue } from '../../src/gateway/queue.ts';
import { holdStateFolder } from '../../src/gateway/state-folder.ts';
import { startGateway } from '../../src/gateway.ts';
import { openKeySources } from '../../src/hsm/key-sources.ts';
import { newMailId } from '../../src/ids.ts';
import type { Event } from '../../src/log/events.ts';
import type { MailToDeliver } from '../../src/queue/ports.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { eventually } from '../support/eventually.ts';
import { type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';
import { mailbox } from './support/queue.ts';

/** The queue as the gateway opens it: keys in key processes, TLS and a login at the mail server, Dovecot behind it. */

let system: MailSystem;
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'sealgate-own-'));
  system = await startMailSystem({ users: ['alice', 'bob'], queue: {} });
});
afterAll(async () => {
  await system.stop();
  await rm(scratch, { recursive: true });
});

/** A second gateway's queue with the same configuration, in a state folder of its own. */
async function ownQueue(
  name: string,
  events: Event[] = [],
): Promise<{ own: OwnQueue; close(): Promise<void> }> {
  const loaded = await loadConfig(system.configFile);
  if (loaded.kind === 'invalid') throw new Error('invalid');
  const config = { ...loaded.config, stateFolder: join(scratch, name) };
  const log = { write: (event: Event) => void events.push(event) };
  const clock = () => new Date();
  const opened = new Opened();
  await holdStateFolder({ config, opened });
  const sources = opened.keep(await openKeySources(config.keys, { log, clock, postQuantum: false }));
  const own = await openQueue({ config, log, clock, opened }, sources);
  if (own === null) throw new Error('no queue');
  return { own, close: () => opened.close() };
}

const mail = (to: string): MailToDeliver => ({
  ...{ id: newMailId(), purpose: 'released', way: { kind: 'smtp' }, requireTls: 'upstream' },
  envelope: {
    ...{ reversePath: mailbox('alice@sealgate.test'), mailParameters: [] },
    recipients: [{ mailbox: mailbox(to), parameters: [] }],
  },
  expiresAt: new Date(Date.now() + 3_600_000),
  octets: Buffer.from('From: alice@sealgate.test\r\nSubject: from the queue\r\n\r\nHello.\r\n'),
});

test('what waits when the gateway stops is delivered by the next one, and what fails is reported to the sender', async () => {
  const first = await ownQueue('state');
  await first.own.queue.enqueue([mail('bob@sealgate.test'), mail('nobody@sealgate.test')]);
  await first.close();
  const events: Event[] = [];
  const second = await ownQueue('state', events);
  await second.own.start();
  const inBob = await eventually(async () => {
    const inbox = (await system.stored('bob')).map(String);
    expect(inbox.some((text) => text.includes('from the queue'))).toBe(true);
    return inbox;
  });
  expect(inBob.length).toBe(1);
  const [report = ''] = await eventually(async () => {
    const inbox = (await system.stored('alice')).map(String);
    expect(inbox.length).toBe(1);
    return inbox;
  });
  expect(report).toContain('Final-Recipient: rfc822; nobody@sealgate.test\nAction: failed\n');
  expect(report).toContain('Return-Path: <>');
  await expect.poll(() => events.map(({ event }) => event)).toContain('queue.delivered');
  expect(
    system.taken().every(({ envelope }) => envelope.tls && envelope.login === 'gateway@sealgate.test'),
  ).toBe(true);
  await second.close();
  expect(await readdir(join(scratch, 'state', 'queue'))).toEqual([]);
});

test('a second gateway on the same state folder does not start, and can once the first one is gone', async () => {
  const { close } = await ownQueue('one-holder');
  const loaded = await loadConfig(system.configFile);
  if (loaded.kind === 'invalid') throw new Error('invalid');
  const stateFolder = join(scratch, 'one-holder');
  const before = await readdir(stateFolder);
  const events: Event[] = [];
  const log = { write: (event: Event) => void events.push(event) };
  await expect(startGateway({ ...loaded.config, stateFolder }, log)).rejects.toMatchObject({
    code: 'queue.in-use',
  });
  // No key was opened, so no PIN was used, and no database was touched.
  expect(events).toEqual([]);
  expect(await readdir(stateFolder)).toEqual(before);
  await close();
  await (await ownQueue('one-holder')).close();
});

test('a mail of the gateway is signed by its key, which OpenSSL finds good', async () => {
  const { own, close } = await ownQueue('own-mail');
  const composed = await own.ownMails.compose({
    ...{ id: newMailId(), purpose: 'notice', to: ['alice@sealgate.test'], subject: 'Grüße' },
    lines: ['A line.', 'Zwölf Boxkämpfer.'],
  });
  await close();
  expect(composed.envelope.reversePath).toBeNull();
  const content = await opensslVerify(system, composed.octets as Buffer);
  expect(content.toString()).toContain('A line.');
});

test('the command line sees what is in the queue, has it tried again and throws it away', async () => {
  const file = join(scratch, 'gateway.yaml');
  const text = (await readFile(system.configFile, 'utf8')).replace(
    /stateFolder: .*/,
    `stateFolder: ${join(scratch, 'by-hand')}`,
  );
  await writeFile(file, text, { mode: 0o600 });
  const sealgate = async (...args: string[]) => {
    const ended = await runSealgate(['queue', ...args, '--config', file], { cache: join(scratch, 'cache') });
    return ended.code === 0 ? ended.out : `${ended.out}${ended.code}: ${ended.error}`;
  };
  expect(await sealgate('list')).toBe('Nothing is in the queue.\n');
  const { own, close } = await ownQueue('by-hand');
  const [one, two] = [mail('bob@sealgate.test'), mail('carol@sealgate.test')];
  const [id = ''] = await own.queue.enqueue([one]);
  await own.queue.enqueue([{ ...two, notBefore: new Date(Date.now() + 60_000) }]);
  const listed = await sealgate('list');
  expect(listed).toContain(`${id}  released, ${one.octets.length} octets, of mail ${one.id}\n`);
  expect(listed).toContain('  from <alice@sealgate.test>, since ');
  expect(listed).toContain('    <carol@sealgate.test>\n');
  expect(JSON.parse(await sealgate('list', one.id, '--json'))).toMatchObject({
    deliveries: [
      { id, mail: one.id, from: '<alice@sealgate.test>', recipients: [{ address: '<bob@sealgate.test>' }] },
    ],
  });
  expect(await sealgate('list', 'nothing')).toMatch(
    /^There is nothing like that in the queue: “sealgate queue list”/,
  );
  expect(await sealgate('flush', 'mail.example')).toBe(
    'Nothing waits for the destination mail.example: mail is there for server.\n',
  );
  expect(await sealgate('retry', two.id)).toBe('One delivery is due now.\n');
  expect(await sealgate('hold', id)).toMatch(/^One delivery is held\. /);
  expect(await sealgate('retry', id, 'gone')).toMatch(
    /^One delivery is held until .*\n1: sealgate: Nothing with the id gone is in the queue: /,
  );
  expect(await sealgate('remove', id)).toMatch(/^[^0].*say --yes/s);
  expect(await sealgate('remove', id, two.id, '--yes')).toMatch(/^2 deliveries are removed\./);
  expect(await sealgate('list')).toBe('Nothing is in the queue.\n');
  await close();
  expect(await readdir(join(scratch, 'by-hand', 'queue'))).toEqual([]);
  // What cannot be looked at is not empty.
  const database = join(scratch, 'by-hand', 'queue.sqlite');
  await rm(database);
  await symlink(database, database);
  expect(await sealgate('list')).toMatch(/^[1-9]\d*: .*cannot be opened/s);
});
