import { limits } from '../limits.ts';
import type { Leg } from './leg.ts';
import { type BodyPiece, ReplyScanner, type StatusLine } from './reply-scanner.ts';

/** What a mail server says, reply by reply. All methods throw SealgateError `pop3.framing`. */
export class Replies {
  readonly leg: Leg;
  readonly #scanner = new ReplyScanner(limits.pop3.replyLineOctets);

  constructor(leg: Leg) {
    this.leg = leg;
  }

  /** Octets that have come and belong to no reply that was read. */
  get buffered(): number {
    return this.#scanner.buffered + this.leg.buffered;
  }

  /** null: the server has gone. */
  status(): Promise<StatusLine | null> {
    return this.#next(() => this.#scanner.status());
  }

  /** The next piece of a multi-line reply, as it came. null: the server has gone in the middle of it. */
  body(): Promise<BodyPiece | null> {
    return this.#next(() => this.#scanner.body());
  }

  /** The lines of a short multi-line reply, without byte-stuffing. null: the server has gone, or it is not short. */
  async lines(maxOctets: number): Promise<string[] | null> {
    const pieces: Buffer[] = [];
    let octets = 0;
    for (;;) {
      const piece = await this.body();
      if (piece === 'end') break;
      octets += piece?.length ?? 0;
      if (piece === null || octets > maxOctets) return null;
      pieces.push(piece);
    }
    const text = Buffer.concat(pieces).toString('latin1');
    return text === '' ? [] : text.slice(0, -2).replace(/^\./gm, '').split('\r\n');
  }

  async #next<T>(take: () => T | null): Promise<T | null> {
    for (;;) {
      const found = take();
      if (found !== null) return found;
      const chunk = await this.leg.read();
      if (chunk === null) return null;
      this.#scanner.push(chunk);
    }
  }
}
