import { tmpdir } from 'node:os';
import { limits } from '../limits.ts';
import { release } from './release.ts';
import type { Look, ScannableSource } from './scan.ts';
import {
  CHUNK_OCTETS,
  type OctetStream,
  type Spool,
  type SpooledOctets,
  type SpoolWriter,
} from './source.ts';
import { SpoolFile, STORED_OCTETS, TAG_OCTETS } from './spool-file.ts';
import { turns } from './turns.ts';

/**
 * A spool in memory for what is small, and in encrypted files without names for the rest.
 *
 * Holds: a spool needs `memoryOctets` of memory and a few chunks, however much is in it.
 */

export type EncryptedSpoolOptions = {
  /** Where files are; the system's folder for temporary files when absent. */
  folder?: string;
  /** What is not longer stays in memory; `limits.spool.memoryOctets` when absent. */
  memoryOctets?: number;
};

/** Writing and reading throw SealgateError `spool.unavailable` and `spool.damaged`, both temporary. */
export function encryptedSpool(options: EncryptedSpoolOptions = {}): Spool {
  const { folder = tmpdir(), memoryOctets = limits.spool.memoryOctets } = options;
  return { begin: () => new EncryptedSpoolWriter(folder, memoryOctets) };
}

/** Written at once, and read at once: a system call costs as much as encrypting some chunks. */
const BLOCK_OCTETS = 4 * CHUNK_OCTETS;
const CHUNKS_READ = 2;

class EncryptedSpoolWriter implements SpoolWriter {
  readonly #folder: string;
  readonly #memoryOctets: number;
  /** Whole blocks, as long as there is no file. */
  #blocks: Buffer[] = [];
  #file: SpoolFile | null = null;
  /** What is not a whole block yet: the first `#filled` octets. */
  #current: Buffer = Buffer.alloc(0);
  #filled = 0;
  #length = 0;
  /** Octets that were written since others had their turn. */
  #sinceTurn = 0;
  #done = false;

  constructor(folder: string, memoryOctets: number) {
    this.#folder = folder;
    this.#memoryOctets = memoryOctets;
  }

  async write(octets: Uint8Array): Promise<void> {
    if (this.#done) throw new Error('a spool was written to after its end');
    this.#sinceTurn += octets.length;
    if (this.#sinceTurn >= CHUNK_OCTETS) {
      this.#sinceTurn = 0;
      await turns.over();
    }
    let at = 0;
    while (at < octets.length) {
      if (this.#filled === this.#current.length) await this.#makeRoom(octets.length - at);
      const here = Math.min(octets.length - at, this.#current.length - this.#filled);
      this.#current.set(octets.subarray(at, at + here), this.#filled);
      this.#filled += here;
      this.#length += here;
      at += here;
    }
  }

  /** A full block goes where it belongs; a first one that is not full grows, since most contents are short. */
  async #makeRoom(wanted: number): Promise<void> {
    if (this.#filled < BLOCK_OCTETS) {
      const room = Math.min(BLOCK_OCTETS, Math.max(2 * this.#filled, wanted, 4096));
      const larger = Buffer.allocUnsafeSlow(room);
      larger.set(this.#current.subarray(0, this.#filled));
      this.#current = larger;
      return;
    }
    if (this.#file === null && this.#length < this.#memoryOctets) {
      this.#blocks.push(this.#current);
      this.#current = Buffer.allocUnsafeSlow(BLOCK_OCTETS);
    } else {
      const file = await this.#movedToFile();
      // Encrypted when this resolves: the room is free again.
      await file.append(this.#current);
    }
    this.#filled = 0;
  }

  async #movedToFile(): Promise<SpoolFile> {
    if (this.#file === null) {
      this.#file = await SpoolFile.create(this.#folder);
      for (const block of this.#blocks) await this.#file.append(block);
      this.#blocks = [];
    }
    return this.#file;
  }

  async finish(): Promise<SpooledOctets> {
    if (this.#done) throw new Error('a spool was finished twice');
    this.#done = true;
    try {
      const last = this.#current.subarray(0, this.#filled);
      if (this.#file === null && this.#length > this.#memoryOctets) await this.#movedToFile();
      if (this.#file === null) return new SpooledInMemory([...this.#blocks, last], this.#length);
      await this.#file.append(last);
      await this.#file.settle();
      return new SpooledInFile(this.#file, this.#length);
    } catch (error) {
      await this.#file?.close();
      throw error;
    }
  }

  async discard(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    this.#blocks = [];
    this.#current = Buffer.alloc(0);
    await this.#file?.close();
  }
}

class SpooledInMemory implements SpooledOctets {
  readonly length: number;
  #blocks: readonly Buffer[] | null;

  constructor(blocks: readonly Buffer[], length: number) {
    this.#blocks = blocks;
    this.length = length;
  }

  async *read(start = 0, end = this.length): OctetStream {
    checkRange(start, end, this.length);
    for (let at = start; at < end; ) {
      if (this.#blocks === null) throw discarded();
      const inBlock = at % BLOCK_OCTETS;
      const block = this.#blocks[Math.floor(at / BLOCK_OCTETS)] ?? Buffer.alloc(0);
      const chunk = block.subarray(inBlock, Math.min(inBlock + CHUNK_OCTETS, inBlock + end - at));
      yield chunk;
      at += chunk.length;
    }
  }

  async discard(): Promise<void> {
    this.#blocks = null;
  }
}

class SpooledInFile implements SpooledOctets, ScannableSource {
  readonly length: number;
  readonly #file: SpoolFile;
  #discarded = false;

  constructor(file: SpoolFile, length: number) {
    this.#file = file;
    this.length = length;
  }

  async *read(start = 0, end = this.length): OctetStream {
    for await (const [chunk, from, to] of this.#chunks(start, end)) yield chunk.subarray(from, to);
  }

  /** Memory is given back at once: with many slow readers what V8 gathers before it does so is much. */
  async *borrow(start: number, end: number): OctetStream {
    for await (const [chunk, from, to] of this.#chunks(start, end)) {
      yield chunk.subarray(from, to);
      release(chunk);
    }
  }

  async scan(look: Look, start: number, end: number): Promise<'stop' | undefined> {
    for await (const octets of this.borrow(start, end)) if (look(octets) === 'stop') return 'stop';
    return undefined;
  }

  /** Whole chunks, and the octets of each that are wanted. */
  async *#chunks(start: number, end: number): AsyncIterable<readonly [Buffer, number, number]> {
    checkRange(start, end, this.length);
    const last = Math.ceil(end / CHUNK_OCTETS);
    // What is read ahead goes where the chunks were that have been given out.
    let free: Buffer = Buffer.alloc(0);
    let next = start < end ? this.#fetch(Math.floor(start / CHUNK_OCTETS), last, free) : null;
    while (next !== null) {
      const { first, stored, error } = await next;
      if (this.#discarded) throw discarded();
      if (error !== null) throw error;
      const behind = first + CHUNKS_READ;
      next = behind < last ? this.#fetch(behind, last, free) : null;
      free = stored;
      await turns.over();
      for (let at = 0, index = first; at < stored.length; at += STORED_OCTETS, index++) {
        if (this.#discarded) throw discarded();
        const chunk = this.#file.unseal(index, stored.subarray(at, at + STORED_OCTETS));
        const begin = index * CHUNK_OCTETS;
        yield [chunk, Math.max(0, start - begin), Math.min(chunk.length, end - begin)];
      }
    }
  }

  /** Some chunks from `first` to before `last`, still sealed. Never rejects: it may be that nobody waits for it any more. */
  async #fetch(first: number, last: number, room: Buffer) {
    const until = Math.min(first + CHUNKS_READ, last);
    const octets = Math.min(until * CHUNK_OCTETS, this.length) - first * CHUNK_OCTETS;
    const needed = octets + (until - first) * TAG_OCTETS;
    const stored = needed <= room.length ? room.subarray(0, needed) : Buffer.allocUnsafeSlow(needed);
    return { first, stored, error: await this.#file.read(first, stored) };
  }

  async discard(): Promise<void> {
    this.#discarded = true;
    await this.#file.close();
  }
}

function checkRange(start: number, end: number, length: number): void {
  if (!(start >= 0 && start <= end && end <= length)) throw new RangeError('beyond what the spool holds');
}

function discarded(): Error {
  return new Error('spooled octets were read after they had been thrown away');
}
