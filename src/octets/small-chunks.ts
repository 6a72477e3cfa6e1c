/** Chunks up to this size are joined with the one before, into pieces of this size at most. */
const PIECE_OCTETS = 4_096;
const NONE = Buffer.alloc(0);

/**
 * Joins the small chunks in which a slow peer sends, so that what waits takes about as much memory as it has octets. A chunk of one
 * octet on its own takes some four hundred.
 *
 * Holds: octets that were given out as part of a chunk stay as they are; only what is behind them is written.
 */
export class SmallChunks {
  #piece = NONE;
  #filled = 0;

  /**
   * The last chunk that waits, with the next one behind it; null: they are better kept apart.
   *
   * @param last where only a part of it waits, that part
   */
  joined(last: Buffer, chunk: Buffer): Buffer | null {
    const length = last.length + chunk.length;
    if (length > PIECE_OCTETS) return null;
    const piece = this.#piece;
    const start = last.byteOffset - piece.byteOffset;
    const ours = last.buffer === piece.buffer && start >= 0 && start + last.length === this.#filled;
    if (ours && this.#filled + chunk.length <= piece.length) {
      this.#filled += chunk.copy(piece, this.#filled);
      return piece.subarray(start, this.#filled);
    }
    // Not from Node's shared pool: nobody else's octets keep it, and it keeps nobody else's.
    const fresh = Buffer.allocUnsafeSlow(PIECE_OCTETS);
    last.copy(fresh);
    chunk.copy(fresh, last.length);
    this.#piece = fresh;
    this.#filled = length;
    return fresh.subarray(0, length);
  }
}
