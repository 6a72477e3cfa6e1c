import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { groupedTransactions } from '../../src/store/grouped-transactions.ts';
import { openSqlite, type SqlStore, sql } from '../../src/store/sqlite.ts';

let folder = '';
let store: SqlStore;
let written: number[];
let grouped: SqlStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-group-'));
  store = await openSqlite(join(folder, 'test.sqlite'), [
    { version: 1, statements: ['CREATE TABLE word (word TEXT PRIMARY KEY) STRICT'] },
  ]);
  written = [];
  grouped = groupedTransactions({
    query: (statement) => store.query(statement),
    transaction(statements) {
      written.push(statements.length);
      return store.transaction(statements);
    },
    close: () => store.close(),
  });
});
afterEach(async () => {
  await grouped.close();
  await rm(folder, { recursive: true });
});

const insert = (word: string) => sql`INSERT INTO word VALUES (${word}) RETURNING word`;
const words = async () =>
  (await store.query(sql`SELECT word FROM word ORDER BY word`)).map(({ word }) => word);

test('transactions that come together share a commit, and each has the rows of its own statements', async () => {
  const rows = await Promise.all(
    [['a'], ['b', 'c'], ['d'], ['e', 'f', 'g']].map((some) => grouped.transaction(some.map(insert))),
  );
  expect(rows.map((of) => of.flat().map(({ word }) => word))).toEqual([
    ['a'],
    ['b', 'c'],
    ['d'],
    ['e', 'f', 'g'],
  ]);
  expect(written).toEqual([1, 6]);
});

test('one that fails takes no other with it, and leaves nothing', async () => {
  const ended = await Promise.allSettled(
    [['a'], ['b'], ['c', 'a'], ['d']].map((some) => grouped.transaction(some.map(insert))),
  );
  expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(await words()).toEqual(['a', 'b', 'd']);
});

test('a thousand statements are enough for one group', async () => {
  await Promise.all(Array.from({ length: 1_500 }, (_, i) => grouped.transaction([insert(`${i}`)])));
  expect(written).toEqual([1, 1_000, 499]);
  expect(await words()).toHaveLength(1_500);
});
