import type { ClientBase } from 'pg';
import { SealgateError } from '../errors.ts';
import type { Migration } from './migrations.ts';

/** One number for all gateways of one database ("seal"). */
const LOCK = 0x7365616c;

/** Tables that belong together, with a list of steps of their own. `name`: null for those that were the only ones once. */
export type TableSet = { name: string | null; migrations: readonly Migration[] };

/**
 * Brings the tables up to date, each set in one transaction under an advisory lock: of several gateways that start at once, one does it
 * and the others find it done.
 *
 * @throws SealgateError `store.unusable`: the tables were made by a newer version
 */
export async function migratePostgresql(client: ClientBase, sets: readonly TableSet[]): Promise<void> {
  for (const set of sets) await migrateSet(client, set);
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
