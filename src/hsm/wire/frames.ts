/**
 * Frames on a stream: four octets of length (big-endian), then as many octets. Whoever sends more than agreed is broken or
 * hostile; the reader says so before it holds the octets.
 */

export const LENGTH_OCTETS = 4;

/** @throws RangeError a frame longer than the other side takes: a defect of the caller */
export function frameHead(octets: number, most: number): Buffer {
  if (octets > most) throw new RangeError(`a frame of ${octets} octets`);
  const head = Buffer.allocUnsafe(LENGTH_OCTETS);
  head.writeUInt32BE(octets);
  return head;
}

/** Puts frames together from whatever pieces arrive. Each octet is copied at most once. */
export class FrameReader {
  readonly #most: number;
  #pieces: Buffer[] = [];
  #held = 0;

  /** @param most octets of one frame */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns the frames that are complete now; null: longer than agreed, and nothing can be read after that */
  push(chunk: Buffer): Buffer[] | null {
    if (chunk.length === 0) return [];
    this.#pieces.push(chunk);
    this.#held += chunk.length;
    const frames: Buffer[] = [];
    for (;;) {
      const length = this.#length();
      if (length === null) return frames;
      if (length > this.#most) return null;
      if (this.#held < LENGTH_OCTETS + length) return frames;
      frames.push(this.#take(LENGTH_OCTETS + length).subarray(LENGTH_OCTETS));
    }
  }

  #length(): number | null {
    if (this.#held < LENGTH_OCTETS) return null;
    if ((this.#pieces[0]?.length ?? 0) < LENGTH_OCTETS) this.#join();
    return this.#pieces[0]?.readUInt32BE(0) ?? null;
  }

  #take(octets: number): Buffer {
    if ((this.#pieces[0]?.length ?? 0) < octets) this.#join();
    const first = this.#pieces[0] ?? Buffer.alloc(0);
    this.#held -= octets;
    if (first.length === octets) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(octets);
    return first.subarray(0, octets);
  }

  #join(): void {
    this.#pieces = [Buffer.concat(this.#pieces)];
  }
}
