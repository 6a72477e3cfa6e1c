import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ToldListing, toldUidl } from '../../src/pop3-proxy/told-uidl.ts';
import { Epochs } from '../../src/reading/epochs/login-epochs.ts';
import { readerOf } from '../../src/reading/record-seal.ts';
import { epochMigrations } from '../../src/store/epoch-migrations.ts';
import { SqliteEpochs } from '../../src/store/epochs.ts';
import { openSqlite, type SqlStore } from '../../src/store/sqlite.ts';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';
import { Conversation } from './support/conversation.ts';
import { startTestProxy } from './support/listener.ts';
import { ScriptedServer } from './support/scripted-server.ts';

/** Unique ids in an epoch: clients download mail again that is still on the server. */

let folder: string;
let store: SqlStore;
const open: { close(): unknown }[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-epochs-'));
  store = await openSqlite(join(folder, 'epochs.sqlite'), epochMigrations);
});
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  await store.close();
  await rm(folder, { recursive: true });
});

test('unique ids are other ones in each epoch, of messages that have others on the server', () => {
  const uidl = fc.string({
    unit: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 70,
  });
  fc.assert(
    fc.property(fc.uniqueArray(uidl, { maxLength: 20 }), fc.integer({ min: 1, max: 1e9 }), (all, epoch) => {
      const told = all.map((each) => toldUidl(each, epoch));
      expect(new Set(told).size).toBe(all.length);
      for (const [at, each] of told.entries()) {
        expect(each).toMatch(/^[!-~]{1,70}$/);
        expect(each).not.toBe(all[at]);
        expect(each).not.toBe(toldUidl(all[at] ?? '', epoch + 1));
      }
      expect(all.map((each) => toldUidl(each, 0))).toEqual(all);
    }),
  );
});

test('a listing is told the same, in whatever pieces it comes', () => {
  const listing = '1 a\r\n2 b\r\n10 cc \r\nnonsense\r\n';
  const told = '1 a.e3\r\n2 b.e3\r\n10 cc.e3 \r\nnonsense\r\n';
  fc.assert(
    fc.property(fc.array(fc.nat(listing.length)), (cuts) => {
      const lines = new ToldListing(3);
      const at = [0, ...cuts.sort((a, b) => a - b), listing.length];
      const pieces = at.slice(1).map((end, i) => Buffer.from(listing.slice(at[i], end)));
      expect(Buffer.concat(pieces.map((each) => lines.add(each))).toString()).toBe(told);
    }),
  );
  expect(() => new ToldListing(3).add(Buffer.from('x'.repeat(2_000)))).toThrow();
});

test('from the next session on, in a listing and of one message, and the view is another one', async () => {
  const octets = toyEncrypted(['Subject: x'], 'Content-Type: text/plain\r\n\r\nhello\r\n');
  const long = 'u'.repeat(70);
  const server = await ScriptedServer.start([
    { octets, uidl: 'one' },
    { octets, uidl: long },
  ]);
  open.push(server);
  const epochs = new SqliteEpochs(store, () => new Date());
  const proxy = await startTestProxy(server.port, {
    reading: { epochs: new Epochs(epochs, () => new Date(0)), account: 'x' },
  });
  open.push(proxy);
  const session = async (): Promise<Conversation> => {
    const client = await Conversation.login(proxy.port);
    open.push(client);
    return client;
  };
  const before = await session();
  const first = await before.fetch('RETR 1');
  expect((await before.fetch('UIDL')).toString()).toBe(`1 one\r\n2 ${long}\r\n`);
  const reader = readerOf(Buffer.alloc(32, 7), 'x', 'bob@example.org');
  await epochs.needForAll();
  await epochs.need(reader, 'INBOX');
  expect(await (await session()).ask('UIDL 1')).toBe('+OK 1 one');
  const epoch = await epochs.begin(reader, 'INBOX');
  expect(await before.ask('UIDL 1')).toBe('+OK 1 one');
  const after = await session();
  expect(await after.ask('UIDL 1')).toBe(`+OK 1 one.e${epoch}`);
  expect(await after.ask('UIDL 2')).toMatch(new RegExp(`^\\+OK 2 [\\w-]{43}\\.e${epoch}$`));
  expect((await after.fetch('UIDL')).toString()).toMatch(
    new RegExp(`^1 one\\.e${epoch}\r\n2 [\\w-]{43}\\.e${epoch}\r\n$`),
  );
  const again = await after.fetch('RETR 1');
  expect(again).toHaveLength(first.length);
  expect(again.equals(first)).toBe(false);
});
