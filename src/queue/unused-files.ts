import type { SqlStore } from '../store/sql-store.ts';
import { usesOf } from './delivery-rows.ts';

/** Removes the files of deliveries that are gone, but for those that deliveries of the same mail still have. */
export async function removeUnused(
  store: SqlStore,
  names: readonly string[],
  remove: (name: string) => Promise<void>,
): Promise<void> {
  for (const name of new Set(names)) {
    const used = await store.query(usesOf(name));
    if (used.length === 0) await remove(name);
  }
}
