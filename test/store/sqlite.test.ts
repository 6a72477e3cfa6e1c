import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SealgateError } from '../../src/errors.ts';
import { migrations } from '../../src/store/migrations.ts';
import { openSqlite, openSqliteAsItIs, type SqlStore, sql } from '../../src/store/sqlite.ts';

let folder: string;
const open: SqlStore[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-store-'));
});

afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const things = [{ version: 1, statements: ['CREATE TABLE thing (name TEXT PRIMARY KEY, data BLOB) STRICT'] }];

async function opened(file = join(folder, 'a.sqlite'), steps = things): Promise<SqlStore> {
  const store = await openSqlite(file, steps);
  open.push(store);
  return store;
}

async function failure(promise: Promise<unknown>): Promise<SealgateError> {
  return promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: SealgateError) => error,
  );
}

describe('statements', () => {
  test('bind their values: text that looks like SQL stays text', async () => {
    const store = await opened();
    const name = "x'); DROP TABLE thing; --";
    await store.query(sql`INSERT INTO thing (name, data) VALUES (${name}, ${Buffer.from([0, 255])})`);
    const rows = await store.query(sql`SELECT name, data FROM thing WHERE name = ${name}`);
    expect(rows).toHaveLength(1);
    expect(rows[0]?.name).toBe(name);
    expect(Buffer.from(rows[0]?.data as Uint8Array)).toEqual(Buffer.from([0, 255]));
  });

  test('of a transaction hold all or not at all', async () => {
    const store = await opened();
    await store.query(sql`INSERT INTO thing (name) VALUES ('there')`);
    const error = await failure(
      store.transaction([
        sql`INSERT INTO thing (name) VALUES ('new')`,
        sql`INSERT INTO thing (name) VALUES ('there')`,
      ]),
    );
    expect(error).toMatchObject({ code: 'store.unavailable', duration: 'temporary' });
    expect(await store.query(sql`SELECT name FROM thing`)).toEqual([{ name: 'there' }]);
    await store.transaction([sql`INSERT INTO thing (name) VALUES ('new')`]);
    expect(await store.query(sql`SELECT count(*) AS n FROM thing`)).toEqual([{ n: 2 }]);
  });

  test('asked at once are answered each with its own rows', async () => {
    const store = await opened();
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => store.query(sql`SELECT ${i} AS i`)),
    );
    expect(answers.map(([row]) => row?.i)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  test('that fail do not tell the user what they were', async () => {
    const store = await opened();
    const error = await failure(store.query(sql`SELECT * FROM nowhere`));
    expect(error.publicText).not.toContain('nowhere');
    expect(error.reason).toContain('nowhere');
  });
});

describe('closing', () => {
  test('waits for what was asked before', async () => {
    const store = await opened();
    const asked = store.query(sql`INSERT INTO thing (name) VALUES ('last') RETURNING name`);
    await store.close();
    expect(await asked).toEqual([{ name: 'last' }]);
    expect(await failure(store.query(sql`SELECT 1`))).toMatchObject({ code: 'store.unavailable' });
    await store.close();
  });

  test('leaves one whole file', async () => {
    const store = await opened();
    await store.query(sql`INSERT INTO thing (name) VALUES ('kept')`);
    await store.close();
    const database = new DatabaseSync(join(folder, 'a.sqlite'));
    expect({ ...database.prepare('SELECT name FROM thing').get() }).toEqual({ name: 'kept' });
    database.close();
  });
});

describe('opening', () => {
  test('makes folder and files readable by the owner only', async () => {
    const file = join(folder, 'deep', 'er', 'a.sqlite');
    const store = await opened(file);
    await store.query(sql`INSERT INTO thing (name) VALUES ('x')`);
    for (const suffix of ['', '-wal', '-shm']) expect(statSync(file + suffix).mode & 0o077).toBe(0);
    expect(statSync(join(folder, 'deep')).mode & 0o077).toBe(0);
  });

  test('brings an older database up to date and keeps what is in it', async () => {
    const first = await opened();
    await first.query(sql`INSERT INTO thing (name) VALUES ('old')`);
    await first.close();
    const more = [
      ...things,
      { version: 2, statements: ["ALTER TABLE thing ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'"] },
    ];
    const second = await opened(join(folder, 'a.sqlite'), more);
    expect(await second.query(sql`SELECT name, colour FROM thing`)).toEqual([{ name: 'old', colour: 'red' }]);
    expect(await second.query(sql`SELECT version FROM schema_version`)).toEqual([
      { version: 1 },
      { version: 2 },
    ]);
  });

  test('beside a gateway tables of an older version are left as they are, and new ones are made', async () => {
    const file = join(folder, 'a.sqlite');
    const gateway = await opened(file);
    const more = [...things, { version: 2, statements: ['DROP TABLE thing'] }];
    const error = await failure(openSqliteAsItIs(file, more));
    expect(error).toMatchObject({ code: 'store.unusable', duration: 'permanent' });
    expect(error.publicText).toMatch(/older version.*Start the gateway of this version first/);
    await gateway.query(sql`INSERT INTO thing (name) VALUES ('x')`);
    const same = await openSqliteAsItIs(file, things);
    expect(await same.query(sql`SELECT name FROM thing`)).toEqual([{ name: 'x' }]);
    await same.close();
    const other = await openSqliteAsItIs(join(folder, 'b.sqlite'), more);
    expect(await other.query(sql`SELECT max(version) AS version FROM schema_version`)).toEqual([
      { version: 2 },
    ]);
    await other.close();
  });

  test('takes back a step that fails half way', async () => {
    const broken = [...things, { version: 2, statements: ['CREATE TABLE half (a TEXT) STRICT', 'NO SQL'] }];
    expect(await failure(openSqlite(join(folder, 'a.sqlite'), broken))).toMatchObject({
      code: 'store.unusable',
    });
    const store = await opened();
    const tables = await store.query(sql`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`);
    expect(tables.map(({ name }) => name)).toEqual(['schema_version', 'thing']);
  });

  test.each([
    [
      'a newer version has made',
      (file: string) => {
        const database = new DatabaseSync(file);
        database.exec(
          'PRAGMA journal_mode = WAL; CREATE TABLE schema_version (version INTEGER NOT NULL, applied_at INTEGER NOT NULL) STRICT; INSERT INTO schema_version VALUES (99, 0)',
        );
        database.close();
      },
      /newer version/,
    ],
    [
      'is no database',
      (file: string) => writeFileSync(file, 'not a database, but long enough to be read as one'.repeat(50)),
      /not a database/,
    ],
    ['is a folder', (file: string) => mkdirSync(file), /EISDIR|illegal|directory/],
  ] as const)('refuses what %s, and leaves it alone', async (_, make, sentence) => {
    const file = join(folder, 'a.sqlite');
    make(file);
    const before = statSync(file).isFile() ? readFileSync(file) : null;
    const error = await failure(openSqlite(file, things));
    expect(error).toMatchObject({ code: 'store.unusable', duration: 'permanent' });
    expect(error.publicText).toMatch(sentence);
    expect(error.publicText).toContain(file);
    if (before !== null) expect(readFileSync(file).equals(before)).toBe(true);
  });

  test('the released steps are numbered without a gap', () => {
    expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, i) => i + 1));
  });
});
