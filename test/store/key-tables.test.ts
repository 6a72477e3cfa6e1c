import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keyInventories } from '../../src/store/key-inventories.ts';
import { refusedSecrets } from '../../src/store/refused-secrets.ts';
import { openSqlite, type SqlStore, sql } from '../../src/store/sqlite.ts';

let folder: string;
let store: SqlStore;
let now = 0;
const clock = () => new Date(now++);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-key-tables-'));
  store = await openSqlite(join(folder, 'a.sqlite'));
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

test('what a token held is known after a restart, as it was seen last', async () => {
  const inventories = keyInventories(store, clock);
  expect(await inventories.read('place')).toBeNull();
  await inventories.write('place', 'first');
  await inventories.write('place', 'second');
  await inventories.write('other', 'third');
  await store.close();
  store = await openSqlite(join(folder, 'a.sqlite'));
  const again = keyInventories(store, clock);
  expect(await again.read('place')).toBe('second');
  expect(await again.read('other')).toBe('third');
  expect(await again.read('plac_')).toBeNull();
});

test('a thousand tokens are remembered and not more: those seen longest ago are forgotten', async () => {
  const inventories = keyInventories(store, clock);
  await store.transaction(
    Array.from(
      { length: 1_000 },
      (_, index) => sql`INSERT INTO key_inventory VALUES (${`place ${index}`}, 'x', ${index - 1_000})`,
    ),
  );
  await inventories.write('new', 'x');
  expect(await inventories.read('place 0')).toBeNull();
  expect(await inventories.read('place 1')).toBe('x');
  expect(await inventories.read('new')).toBe('x');
});

test('a secret that was refused is known after a restart', async () => {
  const refused = refusedSecrets(store, clock);
  expect(await refused.has('file 1')).toBe(false);
  await refused.add('file 1');
  await refused.add('file 1');
  await store.close();
  store = await openSqlite(join(folder, 'a.sqlite'));
  expect(await refusedSecrets(store, clock).has('file 1')).toBe(true);
  expect(await refusedSecrets(store, clock).has('file 2')).toBe(false);
});

test('while the database cannot be asked, nobody is told that a secret was never refused', async () => {
  const refused = refusedSecrets(store, clock);
  await store.close();
  await expect(refused.has('file 1')).rejects.toMatchObject({ code: 'store.unavailable' });
});
