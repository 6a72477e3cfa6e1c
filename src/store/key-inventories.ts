import { type SqlStore, sql } from './sqlite.ts';

/** As src/hsm asks for it (remembered-inventory.ts). */
export interface KeyInventories {
  read(place: string): Promise<string | null>;
  write(place: string, text: string): Promise<void>;
}

/** Tokens that are remembered; what was seen longest ago leaves first. */
const PLACES = 1_000;

/**
 * What each token held when it was there last: certificates and labels, nothing secret. `place` is an opaque hash. The table
 * never grows beyond a thousand tokens.
 */
export function keyInventories(store: SqlStore, clock: () => Date): KeyInventories {
  return {
    async read(place) {
      const [row] = await store.query(sql`SELECT inventory FROM key_inventory WHERE place = ${place}`);
      return typeof row?.inventory === 'string' ? row.inventory : null;
    },
    async write(place, text) {
      await store.transaction([
        sql`INSERT OR REPLACE INTO key_inventory (place, inventory, seen_at)
            VALUES (${place}, ${text}, ${clock().getTime()})`,
        sql`DELETE FROM key_inventory WHERE place NOT IN (
              SELECT place FROM key_inventory ORDER BY seen_at DESC, place LIMIT ${PLACES}
            )`,
      ]);
    },
  };
}
