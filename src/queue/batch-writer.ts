import { randomBytes } from 'node:crypto';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { collectFrom } from '../octets/collect.ts';
import { CHUNK_OCTETS, type OctetSource } from '../octets/source.ts';
import { KEY_OCTETS, MOST_MAILS, mailKey, sealChunk, writeHead } from './sealed-batch.ts';
import { codeOf, randomSpoolName } from './spool-name.ts';

/** Longer mails have a file of their own, and never lie in memory as a whole. */
const SHORT_OCTETS = 256 * 1024;
const BATCH_OCTETS = 4 * 1024 * 1024;
/** Gathered before they are written. */
const WRITTEN_AT_ONCE = 4;
/** Batches that are written at a time; the next ones gather meanwhile. */
const BATCHES_AT_ONCE = 2;

/**
 * Writes mails into files that they share with those that came at the same moment: one file, one key, one `fdatasync` for all of them, and
 * one `fsync` of the folder. Each has a name of its own (link(2)), so that whoever is done with one removes that, and the last one frees the room.
 *
 * Holds: what `write` has resolved with is on the disk, under its name.
 */
export class BatchWriter {
  readonly #folder: string;
  readonly #wrap: (key: Buffer) => Promise<Buffer>;
  #waiting: Waiting[] = [];
  #writing = 0;
  /** Whether the file system has links. */
  #links = true;

  /** @param wrap for the gateway's own key */
  constructor(folder: string, wrap: (key: Buffer) => Promise<Buffer>) {
    this.#folder = folder;
    this.#wrap = wrap;
  }

  /** @returns its name. Throws what the file system says; nothing is kept then. */
  async write(source: OctetSource): Promise<string> {
    if (source.length > SHORT_OCTETS) return this.#writeLong(source);
    const octets = await collectFrom(source);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ name: randomSpoolName(), octets, resolve, reject });
      this.#begin();
    });
  }

  #begin(): void {
    if (this.#writing >= BATCHES_AT_ONCE || this.#waiting.length === 0) return;
    const batch = this.#taken();
    this.#writing++;
    this.#writeBatch(batch)
      .then(
        () => {
          for (const { name, resolve } of batch) resolve(name);
        },
        (error: unknown) => {
          // Found out just now: each gets a file of its own.
          if (batch.length > 1 && !this.#links) this.#waiting = [...batch, ...this.#waiting];
          else for (const { reject } of batch) reject(error);
        },
      )
      .finally(() => {
        this.#writing--;
        this.#begin();
      });
  }

  /** As many as one batch may have. */
  #taken(): readonly [Waiting, ...Waiting[]] {
    const [first, ...others] = this.#waiting;
    if (first === undefined) throw new Error('nothing is to be written');
    const batch: [Waiting, ...Waiting[]] = [first];
    let octets = first.octets.length;
    for (const one of others) {
      octets += one.octets.length;
      if (!this.#links || batch.length >= MOST_MAILS || octets > BATCH_OCTETS) break;
      batch.push(one);
    }
    this.#waiting = this.#waiting.slice(batch.length);
    return batch;
  }

  async #writeBatch(batch: readonly [Waiting, ...Waiting[]]): Promise<void> {
    const { key, wrapped } = await this.#newKey();
    const entries = batch.map(({ name, octets }) => ({ name, length: octets.length }));
    const parts = [writeHead(wrapped, entries)];
    for (const { name, octets } of batch) {
      const own = mailKey(key, { name, length: octets.length });
      for (let at = 0, index = 0; at < octets.length || index === 0; at += CHUNK_OCTETS, index++) {
        parts.push(...sealChunk(own, index, octets.subarray(at, at + CHUNK_OCTETS)));
      }
    }
    key.fill(0);
    const [{ name: first }, ...others] = batch;
    try {
      await this.#written(first, (handle) => writeWhole(handle, parts));
      await this.#linked(first, others);
      await syncFolder(this.#folder);
    } catch (error) {
      for (const { name } of batch) await unlink(join(this.#folder, name)).catch(() => undefined);
      throw error;
    }
  }

  async #linked(first: string, others: readonly Waiting[]): Promise<void> {
    try {
      const path = join(this.#folder, first);
      await Promise.all(others.map(({ name }) => link(path, join(this.#folder, name))));
    } catch (error) {
      if (NO_LINKS.has(codeOf(error) ?? '')) this.#links = false;
      throw error;
    }
  }

  async #writeLong(source: OctetSource): Promise<string> {
    const name = randomSpoolName();
    const { key, wrapped } = await this.#newKey();
    const own = mailKey(key, { name, length: source.length });
    key.fill(0);
    try {
      await this.#written(name, async (handle) => {
        let parts = [writeHead(wrapped, [{ name, length: source.length }])];
        let index = 0;
        for await (const chunk of wholeChunks(source)) {
          parts.push(...sealChunk(own, index++, chunk));
          if (index % WRITTEN_AT_ONCE !== 0) continue;
          await writeWhole(handle, parts);
          parts = [];
        }
        await writeWhole(handle, parts);
      });
      await syncFolder(this.#folder);
      return name;
    } catch (error) {
      await unlink(join(this.#folder, name)).catch(() => undefined);
      throw error;
    }
  }

  async #newKey(): Promise<{ key: Buffer; wrapped: Buffer }> {
    const key = randomBytes(KEY_OCTETS);
    return { key, wrapped: await this.#wrap(key) };
  }

  async #written(name: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
    const handle = await open(join(this.#folder, name), 'wx', 0o600);
    try {
      await write(handle);
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }
}

type Waiting = { name: string; octets: Buffer; resolve(name: string): void; reject(error: unknown): void };

/** The file system has none; a file that has too many of them is not made here. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

async function writeWhole(handle: FileHandle, parts: readonly Buffer[]): Promise<void> {
  const wanted = parts.reduce((sum, part) => sum + part.length, 0);
  if (wanted === 0) return;
  const { bytesWritten } = await handle.writev(parts);
  // A file takes less only when there is no more room.
  if (bytesWritten !== wanted) throw Object.assign(new Error('no room for all of it'), { code: 'ENOSPC' });
}

/** Chunks of a source, all but the last of the same length. Throws where it is not as long as it says. */
export async function* wholeChunks(source: OctetSource): AsyncIterable<Buffer> {
  let carried: Buffer[] = [];
  let filled = 0;
  let seen = 0;
  for await (const chunk of source.read()) {
    seen += chunk.length;
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + CHUNK_OCTETS - filled);
      carried.push(part);
      filled += part.length;
      at += part.length;
      if (filled < CHUNK_OCTETS) break;
      const [only, ...more] = carried;
      yield only !== undefined && more.length === 0 ? only : Buffer.concat(carried, filled);
      carried = [];
      filled = 0;
    }
  }
  if (filled > 0) yield Buffer.concat(carried, filled);
  if (seen !== source.length) throw new Error('a source is not as long as it says');
}

/** So that the names in it outlive a power cut as well. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
