import { type SqlStore, sql } from './sqlite.ts';

/** As src/hsm asks for it (key-state.ts, Refusals). */
export interface RefusedSecrets {
  has(identity: string): Promise<boolean>;
  add(identity: string): Promise<void>;
}

/** A file that is changed leaves its former identity behind; the oldest of those leave first. */
const KEPT = 10_000;

/**
 * Which PINs and passwords a token has refused, so that no restart makes the gateway try one again and block the token.
 * An identity says which file or variable is meant, and nothing of what is in it.
 */
export function refusedSecrets(store: SqlStore, clock: () => Date): RefusedSecrets {
  return {
    async has(identity) {
      const rows = await store.query(sql`SELECT 1 FROM refused_secret WHERE identity = ${identity}`);
      return rows.length > 0;
    },
    async add(identity) {
      await store.transaction([
        sql`INSERT OR REPLACE INTO refused_secret (identity, refused_at)
            VALUES (${identity}, ${clock().getTime()})`,
        sql`DELETE FROM refused_secret WHERE identity NOT IN (
              SELECT identity FROM refused_secret ORDER BY refused_at DESC, identity LIMIT ${KEPT}
            )`,
      ]);
    },
  };
}
