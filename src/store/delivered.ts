import { type SqlStore, sql } from './sql-store.ts';

/** A client gives up well before; RFC 5321 §4.5.4.1 lets a server try for 4 to 5 days, a submitting client tries hours. */
const KEPT_MS = 3 * 24 * 60 * 60 * 1000;

/** As the pipeline asks for it (pipeline/ports.ts). */
export interface DeliveredVariants {
  has(key: string): Promise<boolean>;
  record(key: string): Promise<void>;
  forget(keys: readonly string[]): Promise<void>;
}

/**
 * Who has a mail that the upstream has accepted for some of its recipients only, so that a client's retry brings
 * nobody a second copy. Keys are opaque hashes: nothing here tells who wrote to whom.
 */
export function deliveredVariants(store: SqlStore, clock: () => Date): DeliveredVariants {
  return {
    async has(key) {
      const oldest = clock().getTime() - KEPT_MS;
      const rows = await store.query(
        sql`SELECT 1 FROM delivered_variant WHERE key = ${key} AND recorded_at > ${oldest}`,
      );
      return rows.length > 0;
    },
    async record(key) {
      const now = clock().getTime();
      await store.transaction([
        sql`DELETE FROM delivered_variant WHERE recorded_at <= ${now - KEPT_MS}`,
        sql`INSERT INTO delivered_variant (key, recorded_at) VALUES (${key}, ${now})
            ON CONFLICT (key) DO UPDATE SET recorded_at = excluded.recorded_at`,
      ]);
    },
    async forget(keys) {
      await store.transaction(keys.map((key) => sql`DELETE FROM delivered_variant WHERE key = ${key}`));
    },
  };
}
