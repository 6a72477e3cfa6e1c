import { readSync, writeSync } from 'node:fs';
import { FrameReader } from './frames.ts';

const CHUNK_OCTETS = 64 * 1024;

/**
 * Frames on a pipe, read and written by a thread that waits for them. The pipe must be one whose reads block, as those that a
 * process inherits are: otherwise a read throws EAGAIN, which ends the thread.
 */
export class BlockingFrames {
  readonly #pipe: number;
  readonly #reader: FrameReader;
  readonly #chunk = Buffer.alloc(CHUNK_OCTETS);
  #frames: Buffer[] = [];

  /** @param most octets of one frame that is read */
  constructor(pipe: number, most: number) {
    this.#pipe = pipe;
    this.#reader = new FrameReader(most);
  }

  /** @returns null: the other side is gone @throws Error of the pipe, and RangeError where a frame is too long */
  read(): Buffer | null {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      const octets = interruptible(() => readSync(this.#pipe, this.#chunk, 0, CHUNK_OCTETS, null));
      if (octets === 0) return null;
      const frames = this.#reader.push(Buffer.from(this.#chunk.subarray(0, octets)));
      if (frames === null) throw new RangeError('a frame that is too long');
      this.#frames = frames;
    }
  }

  /** @throws Error of the pipe */
  write(octets: Buffer): void {
    let written = 0;
    while (written < octets.length) {
      written += interruptible(() => writeSync(this.#pipe, octets, written));
    }
  }
}

/** A signal to the process ends a call early (EINTR); it is then made again. */
function interruptible(call: () => number): number {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EINTR')) throw error;
    }
  }
}
