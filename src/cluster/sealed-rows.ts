import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import { limits } from '../limits.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { CHUNK_OCTETS, type OctetSource, type OctetStream } from '../octets/source.ts';
import { BatchKeys } from '../queue/batch-keys.ts';
import { wholeChunks } from '../queue/batch-writer.ts';
import type { OwnKey } from '../queue/own-key.ts';
import type { SealedSpool } from '../queue/ports.ts';
import {
  chunksOf,
  KEY_OCTETS,
  locate,
  mailKey,
  openChunk,
  SEALED_CHUNK_OCTETS,
  sealChunk,
  writeHead,
} from '../queue/sealed-batch.ts';
import { randomSpoolName, SPOOL_NAME, spoolDamaged, spoolUnusable } from '../queue/spool-name.ts';
import { allOf, type SqlStore, type Statement, sql } from '../store/sql-store.ts';

/** In messages, where a folder has its name. */
const PLACE = 'spool_piece';
/** Mails that are not longer are one statement, and are read into memory. */
const SHORT_OCTETS = 256 * 1024;
/** What no row names may still be about to get one. By the clock of the database. */
const ORPHANED_AFTER_MS = 24 * 3_600_000;

/**
 * What is sealed, in pieces in the database that all nodes share: what one of them has accepted, each of them can deliver. The form is that of
 * the files (queue/sealed-batch.ts), a mail to a batch: piece 0 is its head, each further piece some chunks.
 *
 * Holds: pieces are there before a row names them, each committed by itself, so that no transaction is as long as a mail; what breaks off
 * half-way is named by nobody, and is swept. No plaintext is in the database.
 */
export class SealedRows implements SealedSpool {
  readonly #store: SqlStore;
  readonly #key: Pick<OwnKey, 'seal' | 'open'>;
  readonly #keys: BatchKeys;

  constructor(store: SqlStore, key: Pick<OwnKey, 'seal' | 'open'>) {
    this.#store = store;
    this.#key = key;
    this.#keys = new BatchKeys((wrapped, usedFor) => key.open(wrapped, usedFor));
  }

  async write(octets: Buffer | OctetSource): Promise<string> {
    const source = Buffer.isBuffer(octets) ? bufferSource(octets) : octets;
    const { length } = source;
    const name = randomSpoolName();
    const batchKey = randomBytes(KEY_OCTETS);
    const head = writeHead(await this.#key.seal(batchKey), [{ name, length }]);
    const key = mailKey(batchKey, { name, length });
    batchKey.fill(0);
    let pieces: Statement[] = [piece(name, 0, head)];
    try {
      let sealed: Buffer[] = length === 0 ? [...sealChunk(key, 0, Buffer.alloc(0))] : [];
      let index = 0;
      for await (const chunk of wholeChunks(source)) {
        sealed.push(...sealChunk(key, index++, chunk));
        if (index % limits.cluster.pieceChunks !== 0) continue;
        pieces.push(piece(name, index / limits.cluster.pieceChunks, Buffer.concat(sealed)));
        sealed = [];
        if (length <= SHORT_OCTETS) continue;
        await this.#store.transaction(pieces);
        pieces = [];
      }
      if (sealed.length > 0) {
        pieces.push(piece(name, Math.floor(index / limits.cluster.pieceChunks) + 1, Buffer.concat(sealed)));
      }
      await this.#store.transaction(pieces);
    } catch (error) {
      await this.remove(name);
      throw spoolUnusable(PLACE, error);
    }
    return name;
  }

  async read(name: string, usedFor?: MailId): Promise<OctetSource> {
    if (!SPOOL_NAME.test(name)) throw spoolDamaged();
    const head = await sealedPiece(this.#store, name, 0);
    const located = locate(head, name);
    const batchKey = located === null ? null : await this.#keys.open(located.wrapped, usedFor);
    if (located === null || batchKey === null) throw spoolDamaged();
    const mail = new MailInRows(this.#store, name, mailKey(batchKey, located), located.length);
    if (located.length <= SHORT_OCTETS) return bufferSource(await collect(mail.read()));
    // Damage is found before any of it is sent.
    for await (const _chunk of mail.read());
    return mail;
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

/** A mail that is opened as it is read: one piece is in memory at a time. Reading throws SealgateError `queue.damaged`, `queue.spool`. */
class MailInRows implements OctetSource {
  readonly length: number;
  readonly #store: SqlStore;
  readonly #name: string;
  readonly #key: Buffer;

  constructor(store: SqlStore, name: string, key: Buffer, length: number) {
    this.#store = store;
    this.#name = name;
    this.#key = key;
    this.length = length;
  }

  async *read(start = 0, end = this.length): OctetStream {
    if (!(start >= 0 && start <= end && end <= this.length)) throw new RangeError('beyond what the mail has');
    if (start === end && this.length > 0) return;
    const { pieceChunks } = limits.cluster;
    const last = this.length === 0 ? 1 : Math.ceil(end / CHUNK_OCTETS);
    let sealed: Buffer = Buffer.alloc(0);
    let held = -1;
    for (let index = Math.floor(start / CHUNK_OCTETS); index < last; index++) {
      const number = Math.floor(index / pieceChunks);
      if (held !== number) sealed = await this.#piece(number);
      held = number;
      const at = (index % pieceChunks) * SEALED_CHUNK_OCTETS;
      const chunk = openChunk(this.#key, index, sealed.subarray(at, at + SEALED_CHUNK_OCTETS));
      if (chunk === null) throw spoolDamaged();
      const from = index * CHUNK_OCTETS;
      const part = chunk.subarray(Math.max(0, start - from), Math.max(0, end - from));
      if (part.length > 0) yield part;
    }
  }

  /** @param number of the pieces with chunks, from 0 */
  async #piece(number: number): Promise<Buffer> {
    const { pieceChunks } = limits.cluster;
    const chunks = Math.min(pieceChunks, chunksOf(this.length) - number * pieceChunks);
    const sealed = await sealedPiece(this.#store, this.#name, number + 1);
    if (sealed.length > chunks * SEALED_CHUNK_OCTETS) throw spoolDamaged();
    return sealed;
  }
}

function piece(name: string, number: number, sealed: Buffer): Statement {
  // Where nobody knows whether it was written it is written again.
  return sql`INSERT INTO spool_piece (spool_file, number, written_at, sealed) VALUES (${name}, ${number}, ${NOW}, ${sealed})
    ON CONFLICT DO NOTHING`;
}

/** @throws SealgateError `queue.damaged`: it is not there; `queue.spool` */
async function sealedPiece(store: SqlStore, name: string, number: number): Promise<Buffer> {
  const [row] = await patiently(() =>
    store.query(sql`SELECT sealed FROM spool_piece WHERE spool_file = ${name} AND number = ${number}`),
  );
  if (!(row?.sealed instanceof Uint8Array)) throw spoolDamaged();
  return Buffer.from(row.sealed.buffer, row.sealed.byteOffset, row.sealed.byteLength);
}

/** Between one question and the next, milliseconds: as long as a database takes that is started again. */
const ASKED_AGAIN_MS = [250, 500, 1_000, 2_000, 4_000];

/** A mail that is on its way does not wait for its next turn, nor break off, because the database is away for a moment. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (const wait of ASKED_AGAIN_MS) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
    }
    await sleep(wait);
  }
  return ask().catch((error: unknown) => {
    throw spoolUnusable(PLACE, error);
  });
}

/** Of the database, milliseconds since 1970: several machines write it. */
const NOW = { sql: '(extract(epoch FROM clock_timestamp()) * 1000)::bigint', parameters: [] };
