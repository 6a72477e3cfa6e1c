import { type SqlStore, sql } from '../store/sql-store.ts';
import type { KeptPolicy, PolicyStore } from './sts-policies.ts';
import type { StsPolicy } from './sts-policy.ts';

/** Policies in the database; what is over goes when another one comes. */
export class SqlPolicyStore implements PolicyStore {
  readonly #store: SqlStore;

  constructor(store: SqlStore) {
    this.#store = store;
  }

  async load(domain: string): Promise<KeptPolicy | null> {
    const [row] = await this.#store.query(
      sql`SELECT id, policy, fetched_at FROM sts_policy WHERE domain = ${domain}`,
    );
    if (row === undefined) return null;
    return {
      id: String(row.id),
      policy: JSON.parse(String(row.policy)) as StsPolicy,
      fetchedAt: new Date(Number(row.fetched_at)),
    };
  }

  async keep(domain: string, { id, policy, fetchedAt }: KeptPolicy): Promise<void> {
    const at = fetchedAt.getTime();
    const overAt = at + policy.maxAgeSeconds * 1_000;
    await this.#store.transaction([
      sql`DELETE FROM sts_policy WHERE over_at < ${at}`,
      sql`INSERT INTO sts_policy (domain, id, policy, fetched_at, over_at)
        VALUES (${domain}, ${id}, ${JSON.stringify(policy)}, ${at}, ${overAt})
        ON CONFLICT (domain) DO UPDATE SET
          id = excluded.id, policy = excluded.policy, fetched_at = excluded.fetched_at, over_at = excluded.over_at`,
    ]);
  }
}
