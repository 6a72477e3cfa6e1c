/**
 * `MessageCollector` of dot-stuffing.ts for a message that is not gathered: transparency is removed (RFC 5321 §4.5.2) as it comes.
 *
 * Holds: data ends at CRLF "." CRLF and at nothing else; what comes out does not depend on where the chunks end. Line ends are not
 * looked at: line-faults.ts is to be asked of what comes out.
 */
const END = Buffer.from('\r\n.\r\n');
const LINE_WITH_DOT = Buffer.from('\r\n.');
const CRLF_OCTETS = 2;

export class Unstuffing {
  /** The longest end of what has come that may be the beginning of the end of data. The message begins as if after a CRLF. */
  #held: Buffer = END.subarray(0, CRLF_OCTETS);
  /** Octets of that CRLF that are still to be left out. */
  #virtual = CRLF_OCTETS;

  /**
   * @returns `octets` of the message, which may share memory with the chunk; `rest`: what the client sent behind the end of data, and null
   * as long as it has not come. After it nothing more may be given
   */
  update(chunk: Buffer): { octets: Buffer; rest: Buffer | null } {
    const text = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const end = text.indexOf(END);
    const until = end === -1 ? text.length - heldAtEnd(text) : end + CRLF_OCTETS;
    // A copy, so that a few octets do not hold a whole chunk.
    this.#held = Buffer.from(text.subarray(end === -1 ? until : text.length));
    const octets = this.#withoutDots(text.subarray(0, until));
    return { octets, rest: end === -1 ? null : text.subarray(end + END.length) };
  }

  /** No line with a dot is cut at either end: `#held` keeps CRLF and its dot together. */
  #withoutDots(text: Buffer): Buffer {
    if (text.length === 0) return text;
    const parts: Buffer[] = [];
    let from = this.#virtual;
    this.#virtual = 0;
    for (
      let at = text.indexOf(LINE_WITH_DOT);
      at !== -1;
      at = text.indexOf(LINE_WITH_DOT, at + CRLF_OCTETS)
    ) {
      parts.push(text.subarray(from, at + CRLF_OCTETS));
      from = at + LINE_WITH_DOT.length;
    }
    if (parts.length === 0) return text.subarray(from);
    parts.push(text.subarray(from));
    return Buffer.concat(parts);
  }
}

/** Octets at the end of the text that are the beginning of an end of data. */
function heldAtEnd(text: Buffer): number {
  for (let length = Math.min(END.length - 1, text.length); length > 0; length--) {
    if (text.compare(END, 0, length, text.length - length) === 0) return length;
  }
  return 0;
}
