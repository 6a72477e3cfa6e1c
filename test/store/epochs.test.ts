import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { Epochs } from '../../src/reading/epochs/login-epochs.ts';
import { epochMigrations } from '../../src/store/epoch-migrations.ts';
import { SqliteEpochs } from '../../src/store/epochs.ts';
import { openSqlite, type SqlStore, sql } from '../../src/store/sqlite.ts';

let folder: string;
let store: SqlStore;
let epochs: SqliteEpochs;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-epochs-'));
  store = await openSqlite(join(folder, 'epochs.sqlite'), epochMigrations);
  epochs = new SqliteEpochs(store, () => new Date(5));
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const row = (told: number, epoch = 0, key = 'name A') => ({ key, upstream: 7, epoch, told, highest: told });

test('epochs are of one mailbox, of one login or of everybody, the newest counts', async () => {
  expect(await epochs.begin('r', 'A')).toBe(1);
  expect(await epochs.begin('r', null)).toBe(2);
  expect(await epochs.begin('s', 'A')).toBe(3);
  expect((await epochs.find('r', 'A', null)).due).toBe(2);
  expect((await epochs.find('s', 'B', null)).due).toBe(0);
  await epochs.needForAll();
  expect((await epochs.find('s', 'B', null)).due).toBe(4);
  expect(await epochs.wanted('r', 'INBOX')).toBe(2);
});

test('what is needed is begun once, until a session has begun with it', async () => {
  await epochs.need('r', 'A');
  await epochs.need('r', 'A');
  expect((await epochs.find('r', 'A', null)).due).toBe(1);
  await epochs.put('r', 'A', row(8, 1));
  await epochs.need('r', 'A');
  expect((await epochs.find('r', 'A', null)).due).toBe(2);
});

test('a rename takes along what was told, an epoch that nobody has begun with, and what is below', async () => {
  await epochs.put('r', 'A', row(7));
  await epochs.put('r', 'A/b', row(8, 1, 'id 5'));
  await epochs.put('r', 'Ab', row(9));
  await epochs.begin('r', 'A');
  await epochs.renamed('r', 'A', 'Z', '/');
  expect(await epochs.find('r', 'Z', null)).toMatchObject({ named: row(7, 0, 'name Z'), due: 1 });
  expect((await epochs.find('r', 'Z/b', null)).named).toEqual(row(8, 1, 'id 5'));
  expect((await epochs.find('r', 'A', null)).named).toEqual(row(7));
  expect((await epochs.find('r', 'Zb', null)).named).toBeNull();
  await epochs.renamed('r', 'Ab', 'Z', '/');
  expect((await epochs.find('r', 'Z', null)).named).toEqual(row(7, 0, 'name Z'));
});

test('a login cannot fill it with mailboxes, and none with an epoch is forgotten', async () => {
  const { mailboxesOfLogin } = limits.epochs;
  await store.query(
    sql`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${mailboxesOfLogin})
        INSERT INTO told_mailbox SELECT 'r', 'm' || i, 'name m' || i, 7, 0, 7, 7 FROM n`,
  );
  await epochs.put('r', 'A', row(7));
  await epochs.put('r', 'B', row(8, 1));
  await epochs.put('r', 'm1', row(9));
  await epochs.put('s', 'x'.repeat(2_000), row(7));
  expect((await epochs.find('r', 'A', null)).named).toBeNull();
  expect((await epochs.find('r', 'B', null)).named?.told).toBe(8);
  expect((await epochs.find('r', 'm1', null)).named?.told).toBe(9);
  expect(await epochs.known('s', null)).toBe(0);
});

test('sessions of a login are told the same, whoever asks first', async () => {
  const all = new Epochs(epochs, () => new Date(0));
  const one = await all.enter('r');
  const two = await all.enter('r');
  expect(two.login).toBe(one.login);
  const told = await Promise.all(
    [3, 3, 900, 900].map((upstream) => one.login.resolve('A', { key: null, upstream, due: 1 })),
  );
  expect(told.map((each) => each.told)).toEqual([4, 4, 900, 900]);
  expect(two.login.told('A', 900)).toBe(900);
  expect(two.login.told('A', 3)).toBeNull();
  expect(two.login.told('B', 3)).toBe(3);
  one.leave();
  two.leave();
  const later = await all.enter('r');
  expect(later.login).not.toBe(one.login);
  expect(later.login.isActive).toBe(true);
});
