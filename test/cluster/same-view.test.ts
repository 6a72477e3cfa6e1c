import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import type { Event } from '../../src/log/events.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { addressOf, type MailSystem, readInbox, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';

/** A client that comes back through another node finds the mailbox as it was: whatever one node has said, all of them say. */

let database: Started<Postgresql>;
let folder: string;
let system: MailSystem;
let other: Gateway;
const otherEvents: Event[] = [];

beforeAll(async () => {
  database = await postgresql();
  folder = await mkdtemp(join(tmpdir(), 'sealgate-nodes-'));
  const secret = join(folder, 'cluster.secret');
  await writeFile(secret, '0123456789abcdef'.repeat(3), { mode: 0o600 });
  system = await startMailSystem({
    users: ['alice', 'bob'],
    pinned: ['alice', 'bob'],
    directory: {
      store: {
        ...{ kind: 'postgresql', host: database.socket, port: database.port, tls: 'none' },
        ...{ database: await database.database(), user: 'test' },
      },
    },
    sections: { cluster: { node: 'one', secret: { file: secret } } },
  });
  const loaded = await loadConfig(system.configFile);
  if (loaded.kind === 'invalid') throw new Error('invalid');
  const { config } = loaded;
  if (config.cluster === null) throw new Error('no cluster');
  other = await startGateway(
    { ...config, stateFolder: join(folder, 'state'), cluster: { ...config.cluster, node: 'two' } },
    { write: (event) => otherEvents.push(event) },
  );
});
afterAll(async () => {
  await other?.close();
  await system?.stop();
  await rm(folder, { recursive: true });
  await database.stop();
});

const ports = () => ({ one: system.imapPort, two: other.port('imaps') });

function inbox(port: number): Promise<Buffer[]> {
  return readInbox({ port, secure: true }, system.user('bob'), system.pki.ca.certificate);
}

async function uidValidity(port: number): Promise<string> {
  const { login, password } = system.user('bob');
  const client = new ImapFlow({
    ...{ host: 'localhost', port, secure: true, logger: false, tls: { ca: system.pki.ca.certificate } },
    auth: { user: login, pass: password },
  });
  await client.connect();
  try {
    const { uidValidity: told } = await client.mailboxOpen('INBOX', { readOnly: true });
    return String(told);
  } finally {
    await client.logout();
  }
}

test('two nodes show the same message in the same octets, whichever of them opened it first', async () => {
  const { one, two } = ports();
  const write = (subject: string) =>
    system.send('alice', { to: addressOf('bob'), subject, text: `About ${subject}.`, html: '<p>About.</p>' });
  await write('first');
  const byOne = await inbox(one);
  expect(await inbox(two)).toEqual(byOne);
  await write('second');
  const byTwo = await inbox(two);
  expect(byTwo).toHaveLength(2);
  expect(byTwo[0]).toEqual(byOne[0]);
  expect(await inbox(one)).toEqual(byTwo);
  const [mail] = byTwo;
  expect(mail?.toString()).toContain('About first.');
  expect((await system.readDirect('bob'))[0]?.toString()).not.toContain('About first.');
});

test('UIDVALIDITY is the same on all nodes, and an epoch that begins on one has begun on all', async () => {
  const { one, two } = ports();
  const before = await uidValidity(one);
  expect(await uidValidity(two)).toBe(before);
  const begun = await runSealgate([
    ...['reading', 'new-epoch', '--login', system.user('bob').login, '--config', system.configFile],
  ]);
  expect(begun.code).toBe(0);
  // A new one is no smaller than the time: the clock of a machine that is wrong must not be told to clients for good.
  const tomorrow = Date.now() + 86_400_000;
  vi.useFakeTimers({ toFake: ['Date'], now: tomorrow + 30 * 86_400_000 });
  const after = await uidValidity(two).finally(() => vi.useRealTimers());
  expect(after).not.toBe(before);
  expect(Number(after)).toBeLessThan(tomorrow / 1_000);
  expect(await uidValidity(one)).toBe(after);
});

test('a node with another secret, or another name in what clients see, does not join', async () => {
  const loaded = await loadConfig(system.configFile);
  if (loaded.kind === 'invalid') throw new Error('invalid');
  const config = { ...loaded.config, stateFolder: join(folder, 'third'), hostname: 'other.sealgate.test' };
  await expect(startGateway(config, { write: () => undefined })).rejects.toMatchObject({
    code: 'cluster.differs',
    publicText: expect.stringContaining('"gateway.sealgate.test" on the other nodes'),
  });
});

test('the status is told to people and to programs', async () => {
  const args = ['cluster', 'status', '--config', system.configFile];
  const text = await runSealgate(args);
  expect(text.out).toMatch(/queue\s+0 deliveries/);
  expect(text.out).toMatch(/Redis\s+none is configured/);
  const json = await runSealgate([...args, '--json']);
  expect(JSON.parse(json.out)).toMatchObject({
    nodes: [
      { name: 'one', state: 'here' },
      { name: 'two', state: 'here' },
    ],
    queue: { deliveries: 0, held: 0 },
    redis: null,
  });
});
