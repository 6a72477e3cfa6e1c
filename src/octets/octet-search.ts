const NOTHING = Buffer.alloc(0);

/** Finds a pattern in octets that come in chunks, also where it lies across the border of two. */
export class OctetSearch {
  readonly #pattern: Buffer;
  readonly #found: (at: number, before: number) => void;
  /** The last octets before the next chunk: as many as the pattern has, so that one before a match is there too. */
  #tail: Buffer = NOTHING;
  #offset = 0;

  /**
   * @param pattern one octet or more
   * @param found is told each match, overlapping ones too: where it begins, and the octet before it (-1: none)
   */
  constructor(pattern: Uint8Array, found: (at: number, before: number) => void) {
    this.#pattern = Buffer.from(pattern);
    this.#found = found;
  }

  update(octets: Buffer): void {
    const tail = this.#tail;
    const { length } = this.#pattern;
    if (tail.length > 0) {
      const seam = Buffer.concat([tail, octets.subarray(0, length)]);
      this.#findIn(
        seam,
        this.#offset - tail.length,
        -1,
        (at) => at < tail.length && at + length > tail.length,
      );
    }
    this.#findIn(octets, this.#offset, tail.at(-1) ?? -1, () => true);
    this.#offset += octets.length;
    this.#tail =
      octets.length >= length
        ? Buffer.from(octets.subarray(-length))
        : Buffer.concat([tail, octets]).subarray(-length);
  }

  #findIn(octets: Buffer, base: number, before: number, counts: (at: number) => boolean): void {
    for (let at = octets.indexOf(this.#pattern); at !== -1; at = octets.indexOf(this.#pattern, at + 1)) {
      if (counts(at)) this.#found(base + at, at === 0 ? before : (octets[at - 1] ?? -1));
    }
  }
}
