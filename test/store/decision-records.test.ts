import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { decisionMigrations, SqliteDecisions } from '../../src/store/decision-records.ts';
import { openSqlite, type SqlStore } from '../../src/store/sqlite.ts';

const DAY = 24 * 60 * 60 * 1000;

let folder: string;
let store: SqlStore;
let now: number;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-decisions-'));
});
beforeEach(async () => {
  await store?.close();
  store = await openSqlite(join(folder, `${count++}.sqlite`), decisionMigrations);
  now = Date.UTC(2026, 0, 1);
});
afterAll(async () => {
  await store?.close();
  await rm(folder, { recursive: true, force: true });
});

const decisions = (days: number) => new SqliteDecisions(store, () => new Date(now), days);
const kept = async (days: number) =>
  (await Array.fromAsync(decisions(90).since(days))).map(({ mail }) => mail);

test('decisions are kept for so many days, and given out in order', async () => {
  for (const mail of ['a', 'b', 'c', 'd']) {
    await decisions(3).record(mail, '{}');
    now += DAY;
  }
  expect(await kept(90)).toEqual(['b', 'c', 'd']);
  expect(await kept(2)).toEqual(['d']);
  await decisions(2).forgetOld();
  expect(await kept(90)).toEqual(['d']);
});

test('none are kept for no days, nor one that is too long', async () => {
  await decisions(0).record('a', '{}');
  await decisions(3).record('b', 'x'.repeat(limits.policy.recordCharacters + 1));
  expect(await kept(90)).toEqual([]);
});

test('many are given out some at a time', async () => {
  for (let i = 0; i < 1_001; i++) await decisions(3).record(`m${i}`, '{}');
  const all = await kept(3);
  expect([all.length, all[0], all.at(-1)]).toEqual([1_001, 'm0', 'm1000']);
});
