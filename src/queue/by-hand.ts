import type { SqlStore, Statement } from '../store/sql-store.ts';
import { oneOf, sql } from '../store/sql-store.ts';
import { type Delivery, readDeliveries } from './delivery-rows.ts';
import { removeSpooled } from './spool-folder.ts';

/** What an administrator does with the queue, beside a running gateway or without one. */

/** Which deliveries: those with one of these ids, of their own or of their mail; null: all. */
export type Chosen = readonly string[] | null;

/** Oldest first. */
export function listQueue(store: SqlStore, chosen: Chosen, limit: number): Promise<readonly Delivery[]> {
  return readDeliveries(store, chosen === null ? [] : [isChosen(chosen)], limit);
}

/**
 * Their next attempt is due now. What waits for its time to begin, as a copy for an archive may, is left alone unless it is named.
 *
 * @returns how many
 */
export async function retryNow(store: SqlStore, chosen: Chosen, now: Date): Promise<number> {
  const which = chosen === null ? sql`attempts > 0` : isChosen(chosen);
  const rows = await store.query(
    sql`UPDATE delivery SET next_at = ${now.getTime()} WHERE ${which} RETURNING spool`,
  );
  return rows.length;
}

/**
 * Nobody is told, and nobody gets it.
 *
 * @param folder of the spool
 * @returns how many
 */
export async function removeDeliveries(
  store: SqlStore,
  folder: string,
  chosen: readonly string[],
): Promise<number> {
  const rows = await store.query(sql`DELETE FROM delivery WHERE ${isChosen(chosen)} RETURNING spool`);
  for (const { spool } of rows) await removeSpooled(folder, String(spool));
  return rows.length;
}

function isChosen(ids: readonly string[]): Statement {
  return sql`${oneOf('delivery.spool', ids)} OR ${oneOf('delivery.mail', ids)}`;
}
