import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { release } from './release.ts';
import { CHUNK_OCTETS } from './source.ts';

/**
 * A file without a name that holds chunks under a key of its own, which only this process's memory has.
 *
 * Holds: each chunk is AES-256-GCM with its number as the nonce, so that a chunk that was changed, moved or cut off is an
 * error; a number is used once.
 * Must never happen: plaintext on a disk; a file that is left behind.
 */
export class SpoolFile {
  readonly #handle: FileHandle;
  readonly #key = randomBytes(32);
  #open = true;
  #next = 0;
  /** The error of the write under way, once it has ended with one. */
  #writing: Promise<SealgateError | null> = Promise.resolve(null);

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** @throws SealgateError `spool.unavailable` */
  static async create(folder: string): Promise<SpoolFile> {
    if (openFiles >= limits.spool.files) throw unavailable('too many files at the same time');
    openFiles++;
    try {
      const path = join(folder, `.sealgate-${randomBytes(16).toString('hex')}`);
      const handle = await open(path, 'wx+', 0o600);
      const file = new SpoolFile(handle);
      try {
        await unlink(path);
      } catch (error) {
        await handle.close();
        throw error;
      }
      forgotten.register(file, handle, file);
      return file;
    } catch (error) {
      openFiles--;
      throw asUnavailable(error);
    }
  }

  /**
   * Writes the next chunks; every chunk but the file's last has `CHUNK_OCTETS`. Encrypts before it resolves, writes after:
   * the error of a write is thrown by the next call or by `settle`.
   *
   * @throws SealgateError `spool.unavailable`
   */
  async append(octets: Buffer): Promise<void> {
    await this.settle();
    const position = this.#next * STORED_OCTETS;
    const parts: Buffer[] = [];
    for (let at = 0; at < octets.length; at += CHUNK_OCTETS) {
      const cipher = createCipheriv('aes-256-gcm', this.#key, nonceOf(this.#next++));
      parts.push(cipher.update(octets.subarray(at, at + CHUNK_OCTETS)));
      cipher.final();
      parts.push(cipher.getAuthTag());
    }
    this.#writing = this.#write(parts, position);
  }

  /** Resolves when everything is written. */
  async settle(): Promise<void> {
    const error = await this.#writing;
    if (error !== null) throw error;
  }

  async #write(parts: Buffer[], position: number): Promise<SealgateError | null> {
    try {
      const { bytesWritten } = await this.#handle.writev(parts, position);
      // A file takes less only when there is no more room.
      const whole = bytesWritten === parts.reduce((sum, part) => sum + part.length, 0);
      return whole ? null : unavailable('no room');
    } catch (error) {
      return asUnavailable(error);
    } finally {
      for (const part of parts) release(part);
    }
  }

  /**
   * Reads chunks as they are stored, into the whole of `room`.
   *
   * @returns the error, if there is one: SealgateError `spool.damaged`, `spool.unavailable`
   */
  async read(index: number, room: Buffer): Promise<SealgateError | null> {
    let at = 0;
    while (at < room.length) {
      try {
        const position = index * STORED_OCTETS + at;
        const { bytesRead } = await this.#handle.read(room, at, room.length - at, position);
        if (bytesRead === 0) return damaged();
        at += bytesRead;
      } catch (error) {
        return asUnavailable(error);
      }
    }
    return null;
  }

  /**
   * @param stored one chunk as it is stored
   * @throws SealgateError `spool.damaged`
   */
  unseal(index: number, stored: Buffer): Buffer {
    const octets = stored.length - TAG_OCTETS;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonceOf(index));
    decipher.setAuthTag(stored.subarray(octets));
    const chunk = decipher.update(stored.subarray(0, octets));
    try {
      decipher.final();
    } catch (error) {
      chunk.fill(0);
      throw damaged(error);
    }
    return chunk;
  }

  /** Waits for what is under way. May be called again. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    forgotten.unregister(this);
    await this.#writing;
    this.#key.fill(0);
    await closeCounted(this.#handle);
  }
}

export const TAG_OCTETS = 16;

/** What a whole chunk takes in the file. */
export const STORED_OCTETS = CHUNK_OCTETS + TAG_OCTETS;

let openFiles = 0;

/** Files that nobody closed: a descriptor that is lost would stay for as long as the process. */
const forgotten = new FinalizationRegistry<FileHandle>((handle) => void closeCounted(handle));

async function closeCounted(handle: FileHandle): Promise<void> {
  openFiles--;
  // Nobody needs what was in it: an answer that is decided must not become another one by this.
  await handle.close().catch(() => undefined);
}

function nonceOf(index: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 6, 6);
  return nonce;
}

function asUnavailable(error: unknown): SealgateError {
  if (error instanceof SealgateError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return unavailable(code, error);
}

function unavailable(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'spool.unavailable',
    publicText:
      'There is no room to keep the message while it is being worked on; make room on the disk, or try again later.',
    duration: 'temporary',
    reason: `temporary file: ${reason}`,
    ...(cause === undefined ? {} : { cause }),
  });
}

function damaged(cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'spool.damaged',
    publicText:
      'What was kept of the message while it was being worked on has changed on the disk; try again, and have the disk checked if it happens again.',
    duration: 'temporary',
    reason: 'temporary file: a chunk that is not as it was written',
    ...(cause === undefined ? {} : { cause }),
  });
}
