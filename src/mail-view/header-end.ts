const CR = 0x0d;
const LF = 0x0a;

/** Finds the empty line that ends a header, in pieces cut anywhere; line ends may be CRLF or LF. Each octet is looked at once. */
export class HeaderEnd {
  /** Octets of the current line, counted up to 2; and whether they are a single CR. */
  #line = 0;
  #onlyCr = false;

  /** Offset behind the empty line; -1: it is not in this piece. */
  in(piece: Buffer): number {
    for (let i = 0; i < piece.length; i++) {
      const octet = piece[i];
      if (octet === LF) {
        if (this.#line === 0 || this.#onlyCr) return i + 1;
        this.#line = 0;
        this.#onlyCr = false;
      } else {
        this.#onlyCr = this.#line === 0 && octet === CR;
        this.#line = Math.min(this.#line + 1, 2);
      }
    }
    return -1;
  }
}
