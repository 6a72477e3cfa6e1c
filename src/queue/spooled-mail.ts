import { type FileHandle, open } from 'node:fs/promises';
import { CHUNK_OCTETS, type OctetSource, type OctetStream } from '../octets/source.ts';
import { chunksOf, type Located, openChunk, SEALED_CHUNK_OCTETS, sealedOctets } from './sealed-batch.ts';
import { codeOf, spoolDamaged, spoolUnusable } from './spool-name.ts';

/** Read at once. */
const CHUNKS_READ = 4;

/**
 * A mail in the spool, opened as it is read: a few chunks are in memory at a time. Reading throws SealgateError `queue.damaged`, `queue.spool`.
 */
export class SpooledMail implements OctetSource {
  readonly length: number;
  readonly #path: string;
  readonly #key: Buffer;
  readonly #start: number;

  /** @param key of this mail (sealed-batch.ts) */
  constructor(path: string, key: Buffer, { length, start }: Pick<Located, 'length' | 'start'>) {
    this.length = length;
    this.#path = path;
    this.#key = key;
    this.#start = start;
  }

  async *read(start = 0, end = this.length): OctetStream {
    if (!(start >= 0 && start <= end && end <= this.length)) throw new RangeError('beyond what the mail has');
    if (start === end && this.length > 0) return;
    const handle = await opened(this.#path);
    try {
      const last = this.length === 0 ? 1 : Math.ceil(end / CHUNK_OCTETS);
      for (let index = Math.floor(start / CHUNK_OCTETS); index < last; index += CHUNKS_READ) {
        const sealed = await this.#sealed(handle, index, Math.min(index + CHUNKS_READ, last));
        for (let at = 0, i = index; at < sealed.length; at += SEALED_CHUNK_OCTETS, i++) {
          const chunk = openChunk(this.#key, i, sealed.subarray(at, at + SEALED_CHUNK_OCTETS));
          if (chunk === null) throw spoolDamaged();
          const from = i * CHUNK_OCTETS;
          const part = chunk.subarray(Math.max(0, start - from), Math.max(0, end - from));
          if (part.length > 0) yield part;
        }
      }
    } finally {
      await handle.close();
    }
  }

  /** Whether all of it can be read: damage is found before any of it is sent. Throws what reading does. */
  async check(): Promise<void> {
    for await (const _chunk of this.read());
  }

  async #sealed(handle: FileHandle, first: number, last: number): Promise<Buffer> {
    const wanted =
      last === chunksOf(this.length)
        ? sealedOctets(this.length) - first * SEALED_CHUNK_OCTETS
        : (last - first) * SEALED_CHUNK_OCTETS;
    return readAt(handle, this.#start + first * SEALED_CHUNK_OCTETS, wanted, 'all');
  }
}

/** @throws SealgateError `queue.damaged`: it is not there; `queue.spool` */
export async function opened(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw codeOf(error) === 'ENOENT' ? spoolDamaged() : spoolUnusable('queue', error);
  }
}

/** @param which `all`: fewer are damage */
export async function readAt(
  handle: FileHandle,
  position: number,
  octets: number,
  which: 'all' | 'what-is-there',
): Promise<Buffer> {
  const room = Buffer.allocUnsafeSlow(octets);
  let read = 0;
  try {
    while (read < octets) {
      const { bytesRead } = await handle.read(room, read, octets - read, position + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
  } catch (error) {
    throw spoolUnusable('queue', error);
  }
  if (which === 'all' && read < octets) throw spoolDamaged();
  return room.subarray(0, read);
}
