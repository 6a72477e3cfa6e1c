import { isUtf8 } from 'node:buffer';
import { limits } from '../limits.ts';
import { LineReader } from './line-reader.ts';
import type { Reply } from './reply.ts';

export type ReplyOutcome =
  | { kind: 'reply'; reply: Reply }
  /** Given for ever: what the server says can no longer be told apart. */
  | { kind: 'malformed'; reason: string };

// RFC 5321 §4.2: Reply-code = %x32-35 %x30-35 %x30-39. The second digit is read more widely: servers in use say 5.7.x as 571 or 582.
const REPLY_LINE = /^([2-5][0-9]{2})(?:([ -])([^\x00-\x08\x0a-\x1f\x7f]*))?$/;

/**
 * Replies of a server, strictly: CRLF, one code for all lines, bounded lines and count. Anything else is the end of the
 * connection, because a reply that is taken for the wrong command may turn a refusal into an acceptance.
 */
export class ReplyReader {
  readonly #lines = new LineReader(limits.smtp.replyLineOctets);
  #code: number | null = null;
  #texts: string[] = [];
  #malformed: string | null = null;

  /** Whether octets or lines of an unfinished reply, or of further replies, have arrived. */
  get hasUnread(): boolean {
    return this.#lines.unread > 0 || this.#code !== null;
  }

  push(chunk: Buffer): void {
    this.#lines.push(chunk);
  }

  /** The next whole reply, or null until more is pushed. */
  next(): ReplyOutcome | null {
    while (this.#malformed === null) {
      const line = this.#lines.next();
      if (line === null) return null;
      if (line.kind === 'too-long') this.#malformed = 'a reply line is too long';
      else if (line.kind === 'bare-line-end') this.#malformed = 'a reply has a bare CR or LF';
      else {
        const finished = this.#take(line.octets);
        if (finished !== null) return { kind: 'reply', reply: finished };
      }
    }
    return { kind: 'malformed', reason: this.#malformed };
  }

  #take(octets: Buffer): Reply | null {
    const match = REPLY_LINE.exec(isUtf8(octets) ? octets.toString('utf8') : octets.toString('latin1'));
    const code = Number(match?.[1]);
    if (match === null) this.#malformed = 'a line is no reply';
    else if (this.#code !== null && this.#code !== code)
      this.#malformed = 'the lines of a reply differ in code';
    else if (this.#texts.length >= limits.smtp.replyLines) this.#malformed = 'a reply has too many lines';
    else {
      this.#texts.push(match[3] ?? '');
      this.#code = code;
      if (match[2] !== '-') {
        const lines = this.#texts;
        this.#code = null;
        this.#texts = [];
        return { code, lines };
      }
    }
    return null;
  }
}
