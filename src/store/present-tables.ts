import { SealgateError } from '../errors.ts';
import { newestOf, refuseNewer, type TableSet, versionsOf } from './postgresql-migrate.ts';
import { type SqlStore, sql } from './sql-store.ts';

/**
 * For whoever comes beside running gateways and must not change the tables beneath them.
 *
 * @throws SealgateError `cluster.tables` (permanent): they are not there, or of an older version; `store.unusable`: of a newer one;
 * `store.unavailable`
 */
export async function requireTables(store: SqlStore, sets: readonly TableSet[]): Promise<void> {
  let isThere = false;
  let isOlder = false;
  for (const set of sets) {
    const present = await presentVersion(store, set);
    refuseNewer(present, set);
    isThere ||= present > 0;
    isOlder ||= present < newestOf(set);
  }
  if (!isOlder) return;
  throw new SealgateError({
    code: 'cluster.tables',
    duration: 'permanent',
    publicText: isThere
      ? 'The tables that the nodes share are of an older version, and commands change nothing beneath nodes that run. Start a node of this version first, or use the command of the nodes’ own version.'
      : 'The database has no tables of a cluster yet. Start a node first: it makes them.',
  });
}

/** 0: it is not there. */
async function presentVersion(store: SqlStore, { name }: TableSet): Promise<number> {
  const versions = versionsOf(name);
  const [found] = await store.query(
    sql`SELECT CASE WHEN to_regclass(${versions}) IS NULL THEN 0 ELSE 1 END AS there`,
  );
  if (found?.there !== 1) return 0;
  const [row] = await store.query({ sql: `SELECT max(version) AS version FROM ${versions}`, parameters: [] });
  return Number(row?.version ?? 0);
}
