import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterTables } from '../../src/store/cluster-tables.ts';
import type { Migration } from '../../src/store/migrations.ts';
import { openPostgresql, type PostgresqlStore } from '../../src/store/postgresql.ts';
import { postgresqlForm } from '../../src/store/postgresql-form.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import { queueMigrations } from '../../src/store/queue-migrations.ts';
import { sql } from '../../src/store/sql-store.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { viewMigrations } from '../../src/store/view-migrations.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';

/** What one node keeps in files and several keep in PostgreSQL has the same columns, so that the same statements work on both. */

let server: Started<Postgresql>;
let store: PostgresqlStore;
beforeAll(async () => {
  server = await postgresql();
  store = await openPostgresql(
    {
      ...{ host: server.socket, port: server.port, database: await server.database(), user: 'test' },
      ...{ password: null, tls: null, connections: 4, timeoutSeconds: 10 },
    },
    postgresqlMigrations,
    clusterTables(),
  );
});
afterAll(async () => {
  await store.close();
  await server.stop();
});

async function inFile(migrations: readonly Migration[]): Promise<Record<string, readonly string[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-columns-'));
  const file = await openSqlite(join(folder, 'columns.sqlite'), migrations);
  try {
    const tables = await file.query(
      sql`SELECT m.name AS "table", c.name AS name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
          WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'schema_version'`,
    );
    return byTable(tables);
  } finally {
    await file.close();
    await rm(folder, { recursive: true });
  }
}

async function inDatabase(tables: readonly string[]): Promise<Record<string, readonly string[]>> {
  const rows = await store.query(
    sql`SELECT table_name AS "table", column_name AS name
        FROM information_schema.columns WHERE table_schema = 'public'`,
  );
  return byTable(rows.filter(({ table }) => tables.includes(String(table))));
}

function byTable(rows: readonly Readonly<Record<string, unknown>>[]): Record<string, readonly string[]> {
  const grouped = Map.groupBy(rows, ({ table }) => String(table));
  return Object.fromEntries(
    [...grouped].map(([table, columns]) => [table, columns.map(({ name }) => String(name)).sort()]),
  );
}

describe.each([
  ['the queue', queueMigrations],
  ['what readers were shown', viewMigrations],
] as const)('tables of %s', (_, migrations) => {
  test('have the same columns in both', async () => {
    const expected = await inFile(migrations);
    expect(Object.keys(expected).length).toBeGreaterThan(2);
    expect(await inDatabase(Object.keys(expected))).toEqual(expected);
  });
});

describe('steps in the form of PostgreSQL', () => {
  const form = (statement: string) =>
    postgresqlForm([{ version: 1, statements: [statement] }])[0]?.statements[0];

  test('have its types, and no options of SQLite', () => {
    expect(
      form('CREATE TABLE t (a TEXT PRIMARY KEY, b INTEGER NOT NULL, c BLOB) STRICT, WITHOUT ROWID'),
    ).toBe('CREATE TABLE t (a text COLLATE "C" PRIMARY KEY, b bigint NOT NULL, c bytea)');
  });

  test('leave what stands in quotes as it is', () => {
    expect(form("UPDATE t SET a = 'TEXT INTEGER' WHERE b = 'BLOB'")).toBe(
      "UPDATE t SET a = 'TEXT INTEGER' WHERE b = 'BLOB'",
    );
  });

  test.each([
    'CREATE TRIGGER x AFTER DELETE ON t BEGIN SELECT 1; END',
    "INSERT INTO sqlite_sequence (name, seq) VALUES ('t', 1)",
    'INSERT OR IGNORE INTO t (a) VALUES (1)',
    'SELECT min(rowid) FROM t',
  ])('are refused where they say what only SQLite knows: %s', (statement) => {
    expect(() => form(statement)).toThrow(/no PostgreSQL form/);
  });
});
