import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { LineReader } from '../smtp/line-reader.ts';
import type { Leg } from './leg.ts';

/** What a client says, line by line. */
export class ClientLines {
  readonly leg: Leg;
  readonly #reader = new LineReader(limits.pop3.commandLineOctets);

  constructor(leg: Leg) {
    this.leg = leg;
  }

  /** Octets that have come and were not read. */
  get buffered(): number {
    return this.#reader.unread + this.leg.buffered;
  }

  /**
   * The next line without its CRLF; null: there is none any more.
   * Throws SealgateError `pop3.protocol` for a line that is too long, or with a bare CR or LF.
   */
  async next(): Promise<Buffer | null> {
    for (;;) {
      const line = this.#reader.next();
      if (line?.kind === 'line') return line.octets;
      if (line !== null) throw protocol(line.kind);
      const chunk = await this.leg.read();
      if (chunk === null) return null;
      this.#reader.push(chunk);
    }
  }
}

function protocol(reason: string): SealgateError {
  return new SealgateError({
    code: 'pop3.protocol',
    publicText: 'The client does not follow the POP3 protocol. Connect again.',
    duration: 'permanent',
    reason,
  });
}
