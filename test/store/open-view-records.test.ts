import { mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { epochMigrations } from '../../src/store/epoch-migrations.ts';
import { SqliteEpochs } from '../../src/store/epochs.ts';
import { openViewRecords } from '../../src/store/open-view-records.ts';
import { openSqlite, type SqlStore, sql } from '../../src/store/sqlite.ts';

/** Records of what was shown that are damaged, lost or made by a newer version. */

const NOW = new Date('2026-03-04T05:06:07.890Z');
let folder: string;
let store: SqlStore;
let epochs: SqliteEpochs;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-records-'));
  store = await openSqlite(join(folder, 'epochs.sqlite'), epochMigrations);
  epochs = new SqliteEpochs(store, () => NOW);
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const file = (): string => join(folder, 'views.sqlite');

async function opened(newEpoch: 'at-need' | 'by-command' = 'at-need', installation = 'one') {
  const settings = { installation, newEpoch, now: NOW };
  const { store: views, records, ...found } = await openViewRecords(folder, epochs, settings);
  const known = (await records.mailbox({ reader: 'r', key: 'name A', name: 'A', uidValidity: 7 })).recorded;
  return { views, records, known: known.length, ...found };
}

/** With records in so many pages that there is something to damage. */
async function filled(): Promise<void> {
  const { views, records } = await opened();
  const { id } = await records.mailbox({ reader: 'r', key: 'name A', name: 'A', uidValidity: 7 });
  await views.query(
    sql`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
        INSERT INTO view_record SELECT ${id}, i, 'opened', 1, NULL, 0, NULL, 1, zeroblob(900), 0 FROM n`,
  );
  await views.close();
}

async function dueOfAnybody(): Promise<number> {
  return (await epochs.find('anybody', 'A', null)).due;
}

test('records that are there again are neither damaged nor lost', async () => {
  await filled();
  const found = await opened();
  expect(found).toMatchObject({ lost: 'no', movedTo: null, known: 400 });
  await found.views.close();
  expect(await dueOfAnybody()).toBe(0);
});

test.each([
  ['it is no database', async () => writeFile(file(), 'nothing of the kind\n'.repeat(1_000))],
  ['its pages are overwritten', () => overwrite(4_096, 60)],
  ['a page in its middle is', () => overwrite(40 * 4_096, 1)],
])('where %s, the file is put aside whole, and everybody’s mailboxes need an epoch', async (_, damage) => {
  await filled();
  const { size } = await stat(file());
  await damage();
  const damaged = (await stat(file())).size;
  expect(damaged).toBeGreaterThan(0);
  const found = await opened();
  expect(found).toMatchObject({ lost: 'lost', known: 0 });
  expect(found.movedTo).toBe(`${file()}.damaged-20260304T050607Z`);
  await found.views.close();
  expect((await stat(found.movedTo ?? '')).size).toBe(damaged);
  expect(size).toBeGreaterThan(50 * 4_096);
  expect(await dueOfAnybody()).toBe(1);
  // By POP3 nothing was recorded.
  expect(await epochs.wanted('anybody', 'INBOX')).toBe(0);
  const again = await opened();
  expect(again).toMatchObject({ lost: 'no', movedTo: null });
  await again.views.close();
  expect(await dueOfAnybody()).toBe(1);
});

test('a file that is gone is noticed, and with `by-command` no epoch begins', async () => {
  await filled();
  await rm(file());
  const found = await opened('by-command');
  expect(found).toMatchObject({ lost: 'lost', movedTo: null });
  await found.views.close();
  expect(await dueOfAnybody()).toBe(0);
  expect((await readdir(folder)).some((name) => name.includes('damaged'))).toBe(false);
});

test('records of another installation, from whose secret nobody has its name, are lost', async () => {
  await filled();
  const found = await opened('at-need', 'another');
  expect(found).toMatchObject({ lost: 'lost', movedTo: null });
  await found.views.close();
  expect(await dueOfAnybody()).toBe(1);
  const again = await opened('at-need', 'another');
  expect(again).toMatchObject({ lost: 'no' });
  await again.views.close();
  expect(await dueOfAnybody()).toBe(1);
});

test('what a newer version has made is not put aside', async () => {
  const { views } = await opened();
  await views.query(sql`INSERT INTO schema_version (version, applied_at) VALUES (1000, 0)`);
  await views.close();
  await expect(opened()).rejects.toMatchObject({ code: 'store.unusable' });
  expect((await readdir(folder)).some((name) => name.includes('damaged'))).toBe(false);
});

async function overwrite(from: number, pages: number): Promise<void> {
  const handle = await open(file(), 'r+');
  await handle.write(Buffer.alloc(pages * 4_096, 0xa5), 0, pages * 4_096, from);
  await handle.close();
}
