import { LineFaults } from './line-faults.ts';

const CR = 13;
const LF = 10;
const DOT = Buffer.from('.');
const CRLF = Buffer.from('\r\n');
const LINE_WITH_DOT = Buffer.from('\r\n.');
const TERMINATOR = Buffer.from('.\r\n');
const END = Buffer.from('\r\n.\r\n');

/**
 * `stuffed` of dot-stuffing.ts for a message that comes in chunks (RFC 5321 §4.5.2); serves one message.
 *
 * Holds: what comes out does not depend on where the chunks end. Must never happen: an octet of a bare CR or LF, the dot behind NULs at
 * the beginning of a line, or anything behind them comes out, or the end of data does.
 */
export class Stuffing {
  /** The next octet is the first one of a line; the message begins as if after a CRLF. */
  #atLine = true;
  /** A CR that waits for its LF. */
  #held = false;
  readonly #faults = new LineFaults();
  #broken = false;

  /**
   * The chunk as it goes over the wire, in parts that share memory with it; may be none.
   *
   * @param chunk not empty
   * @returns null, now and ever after: there is a fault
   */
  update(chunk: Buffer): Buffer[] | null {
    if (this.#broken || this.#faults.update(chunk) !== null) {
      this.#broken = true;
      return null;
    }
    const parts: Buffer[] = [];
    let start = 0;
    let end = chunk.length;
    if (this.#held) {
      parts.push(CRLF);
      start = 1;
      this.#atLine = true;
    }
    this.#held = end > start && chunk[end - 1] === CR;
    if (this.#held) end--;
    const octets = chunk.subarray(start, end);
    if (octets.length === 0) return parts;
    if (this.#atLine && octets[0] === DOT[0]) parts.push(DOT);
    let from = 0;
    for (let at = octets.indexOf(LINE_WITH_DOT); at !== -1; at = octets.indexOf(LINE_WITH_DOT, at + 2)) {
      parts.push(octets.subarray(from, at + 2), DOT);
      from = at + 2;
    }
    parts.push(octets.subarray(from));
    this.#atLine = octets[octets.length - 1] === LF;
    return parts;
  }

  /** The CRLF that is missing, and the end of data. null: there is a fault. */
  finish(): Buffer | null {
    if (this.#broken || this.#held) return null;
    return this.#atLine ? TERMINATOR : END;
  }
}
