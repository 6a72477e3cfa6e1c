import { limits } from '../limits.ts';
import { type SqlStore, sql } from '../store/sqlite.ts';

/** What the cache file holds of one place: octets as they came, which were verified then. */
export type KeptEvidence = { der: Buffer; fetchedAt: Date };

/**
 * Evidence and issuers that survive a restart. All of it is a cache: whoever asks treats a failure as "nothing kept".
 * The file never grows beyond the octets given for evidence; what was used longest ago leaves first.
 */
export class EvidenceFile {
  readonly #store: SqlStore;
  readonly #maxOctets: number;

  constructor(store: SqlStore, maxOctets: number) {
    this.#store = store;
    this.#maxOctets = maxOctets;
  }

  async find(key: string, now: Date): Promise<KeptEvidence | null> {
    const [row] = await this.#store.query(
      sql`UPDATE evidence SET used_at = ${now.getTime()} WHERE key = ${key} RETURNING der, fetched_at`,
    );
    if (row === undefined || !(row.der instanceof Uint8Array)) return null;
    return { der: Buffer.from(row.der), fetchedAt: new Date(Number(row.fetched_at)) };
  }

  async keep(key: string, der: Buffer, fetchedAt: Date, freshUntil: Date): Promise<void> {
    if (der.length > this.#maxOctets) return;
    const now = fetchedAt.getTime();
    await this.#store.transaction([
      sql`INSERT OR REPLACE INTO evidence (key, der, octets, fetched_at, fresh_until, used_at)
          VALUES (${key}, ${der}, ${der.length}, ${now}, ${freshUntil.getTime()}, ${now})`,
      sql`DELETE FROM evidence WHERE key IN (
            SELECT key FROM (
              SELECT key, sum(octets) OVER (ORDER BY used_at DESC, key) AS total FROM evidence
            ) WHERE total > ${this.#maxOctets}
          )`,
    ]);
  }

  /** Certificates in DER, the last seen first. */
  async issuers(): Promise<readonly Buffer[]> {
    const rows = await this.#store.query(
      sql`SELECT der FROM known_issuer ORDER BY seen_at DESC LIMIT ${limits.revocation.knownIssuers}`,
    );
    return rows.flatMap(({ der }) => (der instanceof Uint8Array ? [Buffer.from(der)] : []));
  }

  async keepIssuer(fingerprint: string, der: Buffer, seenAt: Date): Promise<void> {
    await this.#store.transaction([
      sql`INSERT OR REPLACE INTO known_issuer (fingerprint, der, seen_at)
          VALUES (${fingerprint}, ${der}, ${seenAt.getTime()})`,
      sql`DELETE FROM known_issuer WHERE fingerprint NOT IN (
            SELECT fingerprint FROM known_issuer ORDER BY seen_at DESC LIMIT ${limits.revocation.knownIssuers}
          )`,
    ]);
  }
}
