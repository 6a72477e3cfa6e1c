import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deliveredVariants } from '../../src/store/delivered.ts';
import { openSqlite, type SqlStore, sql } from '../../src/store/sqlite.ts';

const DAY = 24 * 60 * 60 * 1000;
let folder: string;
let store: SqlStore;
let now = new Date('2026-11-22T00:00:00Z');
const clock = () => now;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-delivered-'));
  store = await openSqlite(join(folder, 'a.sqlite'));
});

afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

test('what is forgotten is not known any more, and the rest is', async () => {
  const delivered = deliveredVariants(store, clock);
  for (const key of ['kept', 'gone', 'gone too']) await delivered.record(key);
  await delivered.forget(['gone', 'never there', 'gone too']);
  await delivered.forget([]);
  expect(await Promise.all(['kept', 'gone', 'gone too'].map((key) => delivered.has(key)))).toEqual([
    true,
    false,
    false,
  ]);
  await delivered.forget(['kept']);
});

test('a variant that was accepted is known for three days, over a restart, and then forgotten', async () => {
  const delivered = deliveredVariants(store, clock);
  expect(await delivered.has('one')).toBe(false);
  await delivered.record('one');
  await delivered.record('one');
  expect(await delivered.has('one')).toBe(true);
  expect(await delivered.has('two')).toBe(false);
  await store.close();
  store = await openSqlite(join(folder, 'a.sqlite'));
  const later = deliveredVariants(store, clock);
  now = new Date(now.getTime() + 3 * DAY - 1);
  expect(await later.has('one')).toBe(true);
  now = new Date(now.getTime() + 1);
  expect(await later.has('one')).toBe(false);
  await later.record('two');
  expect(await store.query(sql`SELECT key FROM delivered_variant`)).toEqual([{ key: 'two' }]);
});
