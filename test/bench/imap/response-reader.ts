/**
 * Reads what an IMAP server sends as cheaply as can be: the sizes of literals, which are skipped, how many untagged responses
 * there were, and the tagged lines. No octet is copied but those of a line that two chunks share.
 */
export type ReadCounts = {
  /** Responses that begin with `* `. */
  untagged: number;
  /** Of all literals. */
  literalOctets: number;
};

const LF = 0x0a;
const STAR = 0x2a;
const BRACE = 0x7d;

export class ResponseReader {
  readonly counts: ReadCounts = { untagged: 0, literalOctets: 0 };
  readonly #tagged: (line: string) => void;
  #literal = 0;
  /** Whether the next line begins a response: it is not the rest of one with a literal. */
  #first = true;
  /** Of a line whose end is still to come. */
  #begun: Buffer | null = null;

  /** `tagged` gets each line that is not untagged, continuation requests (`+ …`) among them, without its line end. */
  constructor(tagged: (line: string) => void) {
    this.#tagged = tagged;
  }

  /** The octets may be written over as soon as this returns. */
  push(octets: Buffer): void {
    let at = 0;
    while (at < octets.length) {
      if (this.#literal > 0) {
        const taken = Math.min(this.#literal, octets.length - at);
        this.#literal -= taken;
        at += taken;
        continue;
      }
      const lf = octets.indexOf(LF, at);
      if (lf === -1) {
        const rest = octets.subarray(at);
        this.#begun = this.#begun === null ? Buffer.from(rest) : Buffer.concat([this.#begun, rest]);
        return;
      }
      if (this.#begun === null) this.#line(octets, at, lf);
      else {
        const line = Buffer.concat([this.#begun, octets.subarray(at, lf + 1)]);
        this.#begun = null;
        this.#line(line, 0, line.length - 1);
      }
      at = lf + 1;
    }
  }

  /** One line from `start` to its LF at `lf`. */
  #line(octets: Buffer, start: number, lf: number): void {
    if (this.#first && octets[start] !== STAR) {
      this.#tagged(octets.toString('latin1', start, lf - 1));
      return;
    }
    if (this.#first) this.counts.untagged++;
    const size = octets[lf - 2] === BRACE ? sizeBefore(octets, lf - 3, start) : -1;
    this.#first = size === -1;
    if (size > 0) {
      this.#literal = size;
      this.counts.literalOctets += size;
    }
  }
}

/** The number that ends at `last` behind a brace; -1: there is none. */
function sizeBefore(octets: Buffer, last: number, start: number): number {
  let size = 0;
  let unit = 1;
  let at = last;
  for (; at > start; at--) {
    const digit = (octets[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    size += digit * unit;
    unit *= 10;
  }
  return octets[at] === 0x7b && at < last ? size : -1;
}
