import { readFile } from 'node:fs/promises';
import type { Secret } from '../log/secret.ts';
import type { PostgresqlStore } from './postgresql.ts';
import type { PostgresqlPlace } from './postgresql-connection.ts';
import type { TableSet } from './postgresql-migrate.ts';
import { postgresqlMigrations } from './postgresql-migrations.ts';
import type { SqlStore } from './sql-store.ts';
import { storeUnusable } from './sql-store.ts';

/** `directory.store` of the configuration. */
export type DirectoryStoreSettings =
  | { kind: 'sqlite' }
  | {
      kind: 'postgresql';
      host: string;
      port: number;
      database: string;
      user: string;
      password: Secret | null;
      tls: 'verify' | 'none';
      ca: string | null;
      serverName: string | null;
      connections: number;
      timeoutSeconds: number;
    };

type PostgresqlSettings = Extract<DirectoryStoreSettings, { kind: 'postgresql' }>;

/**
 * Where the directory's tables are: in the gateway's own database, or in one that several gateways share.
 *
 * @param own the gateway's own database; whoever opened it closes it
 * @throws SealgateError `store.unusable` (permanent)
 */
export async function openDirectoryStore(settings: DirectoryStoreSettings, own: SqlStore): Promise<SqlStore> {
  if (settings.kind === 'sqlite') return { ...borrowed(own), close: () => Promise.resolve() };
  return openShared(settings, []);
}

/**
 * The database of the directory with further tables.
 *
 * @throws SealgateError `store.unusable` (permanent)
 */
export async function openShared(
  settings: PostgresqlSettings,
  further: readonly TableSet[],
): Promise<PostgresqlStore> {
  // Its driver is loaded where it is used.
  const { openPostgresql } = await import('./postgresql.ts');
  return openPostgresql(await placeOf(settings), postgresqlMigrations, further);
}

/**
 * The same, with whatever tables are there.
 *
 * @throws SealgateError `store.unusable` (permanent)
 */
export async function openSharedAsItIs(settings: PostgresqlSettings): Promise<PostgresqlStore> {
  const { openPostgresqlAsItIs } = await import('./postgresql.ts');
  return openPostgresqlAsItIs(await placeOf(settings));
}

/** What `openShared` brings up to date. */
export function sharedTables(further: readonly TableSet[]): readonly TableSet[] {
  return [{ name: null, migrations: postgresqlMigrations }, ...further];
}

async function placeOf({ tls, ca, serverName, ...place }: PostgresqlSettings): Promise<PostgresqlPlace> {
  return {
    ...place,
    tls: tls === 'none' ? null : { ca: await authorities(ca, place.database), serverName },
  };
}

function borrowed(own: SqlStore): Omit<SqlStore, 'close'> {
  return {
    query: (statement) => own.query(statement),
    transaction: (statements) => own.transaction(statements),
  };
}

async function authorities(file: string | null, database: string): Promise<string | null> {
  if (file === null) return null;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw storeUnusable(database, `its CA file cannot be read (${String(error)})`);
  }
}
