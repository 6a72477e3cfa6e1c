import type { MailId } from '../ids.ts';
import { limits } from '../limits.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import type { OctetSource } from '../octets/source.ts';
import type { OwnKey } from '../queue/own-key.ts';
import type { SealedSpool } from '../queue/ports.ts';
import { randomSpoolName, SPOOL_NAME, spoolDamaged, spoolMark, spoolUnusable } from '../queue/spool-name.ts';
import { allOf, type SqlStore, sql } from '../store/sql-store.ts';

/** In messages, where a folder has its name. */
const PLACE = 'spool_piece';

/** What no row names may still be about to get one. By the clock of the database. */
const ORPHANED_AFTER_MS = 24 * 3_600_000;

/**
 * What is sealed, in pieces in the database that all nodes share: what one of them has accepted, each of them can deliver.
 *
 * Holds: pieces are there before a row names them, each committed by itself, so that no transaction is as long as a mail; what breaks off
 * half-way is named by nobody, has no last piece, and is swept. No plaintext is in the database.
 */
export class SealedRows implements SealedSpool {
  readonly #store: SqlStore;
  readonly #key: Pick<OwnKey, 'seal' | 'open'>;

  constructor(store: SqlStore, key: Pick<OwnKey, 'seal' | 'open'>) {
    this.#store = store;
    this.#key = key;
  }

  async write(octets: Buffer | OctetSource): Promise<string> {
    const name = randomSpoolName();
    const sealed = await this.#key.seal(
      Buffer.concat([spoolMark(name), Buffer.isBuffer(octets) ? octets : await collectFrom(octets)]),
    );
    const { pieceOctets } = limits.cluster;
    try {
      for (let from = 0, number = 0; from < sealed.length; from += pieceOctets, number++) {
        const piece = sealed.subarray(from, from + pieceOctets);
        const isLast = from + pieceOctets >= sealed.length;
        await this.#store.query(
          sql`INSERT INTO spool_piece (spool_file, number, is_last, written_at, sealed)
              VALUES (${name}, ${number}, ${isLast ? 'true' : 'false'}, ${NOW}, ${piece})`,
        );
      }
    } catch (error) {
      await this.remove(name);
      throw spoolUnusable(PLACE, error);
    }
    return name;
  }

  async read(name: string, usedFor?: MailId): Promise<OctetSource> {
    if (!SPOOL_NAME.test(name)) throw spoolDamaged();
    const opened = await this.#key.open(await this.#sealed(name), usedFor);
    const expected = spoolMark(name);
    if (opened === null || !opened.subarray(0, expected.length).equals(expected)) throw spoolDamaged();
    return bufferSource(opened.subarray(expected.length));
  }

  async #sealed(name: string): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for (let number = 0; ; number++) {
      const [row] = await this.#store
        .query(
          sql`SELECT sealed, CASE WHEN is_last THEN 1 ELSE 0 END AS last FROM spool_piece
              WHERE spool_file = ${name} AND number = ${number}`,
        )
        .catch((error: unknown) => {
          throw spoolUnusable(PLACE, error);
        });
      if (!(row?.sealed instanceof Uint8Array)) throw spoolDamaged();
      pieces.push(row.sealed);
      if (row.last === 1) return Buffer.concat(pieces);
    }
  }

  async remove(name: string): Promise<void> {
    // What stays is swept.
    await this.#store.query(sql`DELETE FROM spool_piece WHERE spool_file = ${name}`).catch(() => undefined);
  }

  /**
   * Removes what a crash left behind, a day after it was written. Whoever keeps a name keeps it in a column `spool`; the database itself is asked
   * for the tables, so that none is forgotten.
   *
   * @returns how many went
   * @throws SealgateError `store.unavailable`
   */
  async sweep(): Promise<number> {
    const tables = await this.#store.query(
      sql`SELECT table_name AS name FROM information_schema.columns
          WHERE table_schema = current_schema() AND column_name = 'spool'`,
    );
    const unnamed = tables.map(({ name }) => ({
      sql: `NOT EXISTS (SELECT 1 FROM "${String(name)}" AS named WHERE named.spool = spool_file)`,
      parameters: [],
    }));
    const rows = await this.#store.query(
      sql`SELECT spool_file FROM spool_piece
          WHERE number = 0 AND written_at < ${NOW} - ${ORPHANED_AFTER_MS}::bigint AND ${allOf(unnamed)}`,
    );
    for (const { spool_file: name } of rows) await this.remove(String(name));
    return rows.length;
  }
}

/** Of the database, milliseconds since 1970: several machines write it. */
const NOW = { sql: '(extract(epoch FROM clock_timestamp()) * 1000)::bigint', parameters: [] };
