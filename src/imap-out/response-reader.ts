import { limits } from '../limits.ts';
import { parseResponse, type Response } from './response.ts';

export type Read =
  | { kind: 'response'; response: Response }
  /** Nothing after it can be believed. `reason`: for the log. */
  | { kind: 'malformed'; reason: string };

/**
 * Octets of a mail server, cut into responses. Lines end in CRLF (RFC 9051 §2.2); what is in literals (§4.3) is passed over, since nothing that
 * is looked at here comes in one.
 *
 * Holds: no more than one response is kept, and none longer than the limits.
 */
export class ResponseReader {
  #chunks: Buffer[] = [];
  #octets = 0;
  /** Of the response that is being read: its text so far, literals left out, and all of its octets. */
  #text = '';
  #length = 0;
  /** Octets of a literal that are still to come. */
  #literal = 0;

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#octets += chunk.length;
  }

  /** Whether something has come that was not given out yet. */
  get hasUnread(): boolean {
    return this.#octets > 0 || this.#text !== '' || this.#literal > 0;
  }

  /** null: more octets are needed. */
  next(): Read | null {
    for (;;) {
      this.#passOver();
      if (this.#literal > 0) return null;
      const line = this.#line();
      if (line === null) {
        return this.#octets > limits.imapOut.lineOctets ? malformed('it sent a line without an end') : null;
      }
      if (typeof line !== 'string') return line;
      this.#length += line.length + 2;
      // The one form in which a line goes on: `{n}` or `~{n}`, at its very end.
      const literal = /~?\{(0|[1-9]\d{0,9})\}$/.exec(line);
      this.#text += literal === null ? line : `${line.slice(0, literal.index)}""`;
      this.#literal = literal === null ? 0 : Number(literal[1]);
      this.#length += this.#literal;
      if (this.#length > limits.imapOut.responseOctets) return malformed('it sent a response without an end');
      if (literal !== null) continue;
      const response = parseResponse(this.#text);
      this.#text = '';
      this.#length = 0;
      return response === null ? malformed('it sent what is no response') : { kind: 'response', response };
    }
  }

  #passOver(): void {
    while (this.#literal > 0 && this.#octets > 0) {
      const [chunk] = this.#chunks;
      if (chunk === undefined) return;
      const taken = Math.min(this.#literal, chunk.length);
      this.#literal -= taken;
      this.#drop(taken);
    }
  }

  #line(): string | Read | null {
    const joined = this.#chunks.length > 1 ? Buffer.concat(this.#chunks) : this.#chunks[0];
    if (joined === undefined) return null;
    this.#chunks = [joined];
    const end = joined.indexOf(0x0a);
    if (end === -1) return null;
    if (end >= limits.imapOut.lineOctets) return malformed('it sent a line that is too long');
    if (end === 0 || joined[end - 1] !== 0x0d) return malformed('it sent a line that does not end in CRLF');
    const line = joined.toString('latin1', 0, end - 1);
    if (/[\0\r]/.test(line)) return malformed('it sent a NUL or a bare CR');
    this.#drop(end + 1);
    return line;
  }

  #drop(octets: number): void {
    const [first = Buffer.alloc(0), ...rest] = this.#chunks;
    this.#octets -= octets;
    this.#chunks = octets === first.length ? rest : [first.subarray(octets), ...rest];
  }
}

function malformed(reason: string): Read {
  return { kind: 'malformed', reason };
}
