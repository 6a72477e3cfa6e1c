import { setTimeout as pause } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Migration } from './migrations.ts';

/** One number for all gateways of one database ("seal"). */
const LOCK = 0x7365616c;

/**
 * So long a step waits for a table that somebody reads (a backup, for hours): whatever the other gateways ask of that table waits behind it.
 * Then they have their turn. Milliseconds.
 */
const HELD_UP_MS = 500;
const AGAIN_MS = 1_000;
/** lock_not_available */
const LOCKED = '55P03';

/** Tables that belong together, with a list of steps of their own. `name`: null for those that were the only ones once. */
export type TableSet = { name: string | null; migrations: readonly Migration[] };

/**
 * Brings the tables up to date, each set in one transaction under an advisory lock: of several gateways that start at once, one does it
 * and the others find it done. Those that run are not held up where a table has to be waited for.
 *
 * @throws SealgateError `store.unusable`: the tables were made by a newer version
 */
export async function migratePostgresql(client: ClientBase, sets: readonly TableSet[]): Promise<void> {
  const until = performance.now() + limits.postgresql.migrationMilliseconds;
  for (const set of sets) {
    while (!(await isMigrated(client, set, until))) await pause(AGAIN_MS);
  }
}

/** The table of the steps that were made. */
export function versionsOf(name: TableSet['name']): string {
  return name === null ? 'schema_version' : `schema_version_${name}`;
}

export function newestOf({ migrations }: TableSet): number {
  return migrations.at(-1)?.version ?? 0;
}

/** @throws SealgateError `store.unusable` (permanent) */
export function refuseNewer(present: number, set: TableSet): void {
  const newest = newestOf(set);
  if (present <= newest) return;
  throw new SealgateError({
    code: 'store.unusable',
    publicText: 'The tables of the database were made by a newer version.',
    duration: 'permanent',
    reason: `it was made by a newer version (schema ${present}, this one knows ${newest})`,
  });
}

/** False: somebody has a table that is to be changed. */
async function isMigrated(client: ClientBase, set: TableSet, until: number): Promise<boolean> {
  try {
    await migrateSet(client, set);
    return true;
  } catch (error) {
    const isLocked = error instanceof Error && 'code' in error && error.code === LOCKED;
    if (!isLocked || performance.now() > until) throw error;
    await client.query('ROLLBACK');
    return false;
  }
}

async function migrateSet(client: ClientBase, set: TableSet): Promise<void> {
  const { name, migrations } = set;
  const versions = versionsOf(name);
  // Each statement sees what was committed before it began, so what another gateway did while this one waited is seen.
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
  await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
  await client.query(
    `CREATE TABLE IF NOT EXISTS ${versions} (version integer NOT NULL, applied_at bigint NOT NULL)`,
  );
  const { rows } = await client.query<{ version: number | null }>(
    `SELECT max(version) AS version FROM ${versions}`,
  );
  const present = rows[0]?.version ?? 0;
  refuseNewer(present, set);
  await client.query(`SET LOCAL lock_timeout = ${HELD_UP_MS}`);
  for (const { version, statements } of migrations) {
    if (version <= present) continue;
    for (const statement of statements) await client.query(statement);
    await client.query(`INSERT INTO ${versions} (version, applied_at) VALUES ($1, $2)`, [
      version,
      Date.now(),
    ]);
  }
  await client.query('COMMIT');
}
