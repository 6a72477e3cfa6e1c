import { tmpdir } from 'node:os';
import { limits } from '../limits.ts';
import {
  CHUNK_OCTETS,
  type OctetStream,
  type Spool,
  type SpooledOctets,
  type SpoolWriter,
} from './source.ts';
import { SpoolFile, STORED_OCTETS } from './spool-file.ts';

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

class EncryptedSpoolWriter implements SpoolWriter {
  readonly #folder: string;
  readonly #memoryOctets: number;
  /** Whole chunks, as long as there is no file. */
  #chunks: Buffer[] = [];
  #file: SpoolFile | null = null;
  /** What is not a whole chunk yet: the first `#filled` octets. */
  #current: Buffer = Buffer.alloc(0);
  #filled = 0;
  #length = 0;
  #done = false;

  constructor(folder: string, memoryOctets: number) {
    this.#folder = folder;
    this.#memoryOctets = memoryOctets;
  }

  async write(octets: Uint8Array): Promise<void> {
    if (this.#done) throw new Error('a spool was written to after its end');
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

  /** A full chunk goes where it belongs; a first one that is not full grows, since most contents are short. */
  async #makeRoom(wanted: number): Promise<void> {
    if (this.#filled < CHUNK_OCTETS) {
      const room = Math.min(CHUNK_OCTETS, Math.max(2 * this.#filled, wanted, 4096));
      const larger = Buffer.allocUnsafeSlow(room);
      larger.set(this.#current.subarray(0, this.#filled));
      this.#current = larger;
      return;
    }
    if (this.#file === null && this.#length < this.#memoryOctets) {
      this.#chunks.push(this.#current);
      this.#current = Buffer.allocUnsafeSlow(CHUNK_OCTETS);
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
      for (const chunk of this.#chunks) await this.#file.append(chunk);
      this.#chunks = [];
    }
    return this.#file;
  }

  async finish(): Promise<SpooledOctets> {
    if (this.#done) throw new Error('a spool was finished twice');
    this.#done = true;
    try {
      const last = this.#current.subarray(0, this.#filled);
      if (this.#file === null && this.#length > this.#memoryOctets) await this.#movedToFile();
      if (this.#file === null) return new SpooledInMemory([...this.#chunks, last], this.#length);
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
    this.#chunks = [];
    this.#current = Buffer.alloc(0);
    await this.#file?.close();
  }
}

class SpooledInMemory implements SpooledOctets {
  readonly length: number;
  #chunks: readonly Buffer[] | null;

  constructor(chunks: readonly Buffer[], length: number) {
    this.#chunks = chunks;
    this.length = length;
  }

  async *read(start = 0, end = this.length): OctetStream {
    for (const { index, from, to } of pieces(start, end, this.length)) {
      if (this.#chunks === null) throw discarded();
      yield this.#chunks[index]?.subarray(from, to) ?? Buffer.alloc(0);
    }
  }

  async discard(): Promise<void> {
    this.#chunks = null;
  }
}

class SpooledInFile implements SpooledOctets {
  readonly length: number;
  readonly #file: SpoolFile;
  #discarded = false;

  constructor(file: SpoolFile, length: number) {
    this.#file = file;
    this.length = length;
  }

  async *read(start = 0, end = this.length): OctetStream {
    const room = Buffer.allocUnsafeSlow(STORED_OCTETS);
    for (const { index, from, to } of pieces(start, end, this.length)) {
      if (this.#discarded) throw discarded();
      const octets = Math.min(CHUNK_OCTETS, this.length - index * CHUNK_OCTETS);
      const chunk = await this.#file.chunk(index, octets, room).catch((error: unknown) => {
        throw this.#discarded ? discarded() : error;
      });
      yield chunk.subarray(from, to);
    }
  }

  async discard(): Promise<void> {
    this.#discarded = true;
    await this.#file.close();
  }
}

/** The parts of chunks that lie between `start` and `end`. */
function* pieces(
  start: number,
  end: number,
  length: number,
): Generator<{ index: number; from: number; to: number }> {
  if (!(start >= 0 && start <= end && end <= length)) throw new RangeError('beyond what the spool holds');
  for (let at = start; at < end; ) {
    const index = Math.floor(at / CHUNK_OCTETS);
    const from = at - index * CHUNK_OCTETS;
    const to = Math.min(CHUNK_OCTETS, end - index * CHUNK_OCTETS);
    yield { index, from, to };
    at = index * CHUNK_OCTETS + to;
  }
}

function discarded(): Error {
  return new Error('spooled octets were read after they had been thrown away');
}
