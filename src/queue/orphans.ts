import { type SqlStore, type Statement, sql } from '../store/sql-store.ts';
import type { SpoolFolder } from './spool-folder.ts';
import { spoolReferences } from './spool-references.ts';

/** Orphans are nobody's after a crash, but accepted mail where the database was lost, or is an older copy: there is time to notice. */
const SWEPT_AFTER_MS = 30 * 24 * 3_600_000;

/** Written in one transaction. */
const BATCH = 500;

/**
 * Removes files that no row names, thirty days after that was first seen: how old they are says nothing, since mail may wait for months, and
 * of a database that was lost the newest are to be told as well. Before anything is written: what has no row yet is none.
 *
 * @returns how many went, and how many are there that have no row
 * @throws SealgateError `store.unavailable`
 */
export async function sweepOrphans(
  store: SqlStore,
  spool: Pick<SpoolFolder, 'unnamed' | 'remove'>,
  now: Date,
): Promise<{ removed: number; orphans: number }> {
  const at = now.getTime();
  const orphans = new Set(await spool.unnamed(await spoolReferences(store)));
  const rows = await store.query(sql`SELECT name, seen_at FROM spool_orphan`);
  // A clock that was set back does not keep them for ever.
  const seen = new Map(rows.map(({ name, seen_at: seenAt }) => [String(name), Math.min(Number(seenAt), at)]));
  const gone: string[] = [];
  for (const name of orphans) {
    if (at - (seen.get(name) ?? at) < SWEPT_AFTER_MS) continue;
    await spool.remove(name);
    gone.push(name);
    orphans.delete(name);
  }
  await inBatches(store, [
    // Those that went, and those that have a row again.
    ...[...seen.keys()]
      .filter((name) => !orphans.has(name))
      .map((name) => sql`DELETE FROM spool_orphan WHERE name = ${name}`),
    ...[...orphans].map(
      (name) =>
        sql`INSERT INTO spool_orphan (name, seen_at) VALUES (${name}, ${at})
          ON CONFLICT (name) DO UPDATE SET seen_at = min(seen_at, excluded.seen_at)`,
    ),
  ]);
  return { removed: gone.length, orphans: orphans.size };
}

async function inBatches(store: SqlStore, statements: readonly Statement[]): Promise<void> {
  for (let i = 0; i < statements.length; i += BATCH) await store.transaction(statements.slice(i, i + BATCH));
}
