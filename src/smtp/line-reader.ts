import { SmallChunks } from '../octets/small-chunks.ts';

/**
 * Lines as RFC 5321 §2.3.8 wants them: ended by CRLF and by nothing else.
 *
 * What holds: a line is given out only whole, without its CRLF, with neither CR nor LF inside. What never happens: more than
 * `maxOctets` of an unfinished line is kept. A bare CR or LF makes the reader `broken` for good, because the two sides would
 * no longer agree where the next command begins (SMTP smuggling).
 */
export type Line =
  /** The octets may share memory with the chunk they came in. */
  | { kind: 'line'; octets: Buffer }
  /** Given once for the line; what follows it is read normally. */
  | { kind: 'too-long' }
  /** Given for ever: the session has to end. */
  | { kind: 'bare-line-end' };

const CR = 13;
const LF = 10;
const BARE: Line = { kind: 'bare-line-end' };
const TOO_LONG: Line = { kind: 'too-long' };

export class LineReader {
  readonly #maxOctets: number;
  /** Chunks of which nothing has been given out yet, but for the first: it is read from `#offset`. */
  #chunks: Buffer[] = [];
  readonly #small = new SmallChunks();
  #offset = 0;
  /** Octets in `#chunks` behind `#offset`. */
  #unread = 0;
  /** Chunks at the front of `#chunks` that are known to have no LF, and so many octets of the next one: none is looked at twice. */
  #searched = 0;
  #searchedOfNext = 0;
  /** Octets of the unfinished line in those. */
  #unfinished = 0;
  #skipping = false;
  #broken = false;

  /** `maxOctets`: of a line, CRLF included. */
  constructor(maxOctets: number) {
    this.#maxOctets = maxOctets;
  }

  /** Octets that were pushed and not given out. */
  get unread(): number {
    return this.#unread;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#unread += chunk.length;
    const last = this.#chunks.length - 1;
    const waiting = this.#chunks[last];
    const start = last === 0 ? this.#offset : 0;
    const joined = waiting === undefined ? null : this.#small.joined(waiting.subarray(start), chunk);
    if (joined === null) {
      this.#chunks.push(chunk);
      return;
    }
    this.#chunks[last] = joined;
    if (last === 0) this.#offset = 0;
    if (this.#searched > last) {
      this.#searched = last;
      this.#searchedOfNext = joined.length - chunk.length;
    }
  }

  /** The next line, or null until more is pushed. */
  next(): Line | null {
    if (this.#broken) return BARE;
    while (this.#searched < this.#chunks.length) {
      const chunk = this.#chunks[this.#searched] as Buffer;
      const from = Math.max(this.#searched === 0 ? this.#offset : 0, this.#searchedOfNext);
      this.#searchedOfNext = 0;
      const lf = chunk.indexOf(LF, from);
      if (lf === -1) {
        this.#unfinished += chunk.length - from;
        this.#searched++;
        if (this.#skipping) this.#dropSearched();
        else if (this.#unfinished >= this.#maxOctets) {
          this.#skipping = true;
          this.#dropSearched();
          return TOO_LONG;
        }
        continue;
      }
      const length = this.#unfinished + lf + 1 - from;
      if (this.#skipping) {
        this.#consume(length);
        this.#skipping = false;
        continue;
      }
      const whole = this.#consume(length);
      if (length > this.#maxOctets) return TOO_LONG;
      // CR only as the last octet but one, LF only as the last.
      if (length === 1 || whole.indexOf(CR) !== length - 2) {
        this.#broken = true;
        return BARE;
      }
      return { kind: 'line', octets: whole.subarray(0, length - 2) };
    }
    return null;
  }

  /** Takes everything unread out, when what follows is no line any more (message, TLS handshake). */
  takeRest(): Buffer {
    const rest = this.#consume(this.#unread);
    this.#skipping = false;
    return rest;
  }

  #dropSearched(): void {
    this.#consume(this.#unfinished);
  }

  #consume(length: number): Buffer {
    this.#unread -= length;
    this.#searched = 0;
    this.#searchedOfNext = 0;
    this.#unfinished = 0;
    const first = this.#chunks[0];
    if (first === undefined) return Buffer.alloc(0);
    if (first.length - this.#offset >= length) {
      const taken = first.subarray(this.#offset, this.#offset + length);
      this.#offset += length;
      if (this.#offset === first.length) {
        this.#chunks.shift();
        this.#offset = 0;
      }
      return taken;
    }
    const parts: Buffer[] = [];
    let missing = length;
    let used = 0;
    for (const chunk of this.#chunks) {
      const from = used === 0 ? this.#offset : 0;
      const part = chunk.subarray(from, from + missing);
      parts.push(part);
      missing -= part.length;
      if (missing === 0) {
        this.#offset = from + part.length;
        if (this.#offset === chunk.length) {
          this.#offset = 0;
          used++;
        }
        break;
      }
      used++;
    }
    this.#chunks.splice(0, used);
    return Buffer.concat(parts, length);
  }
}
