import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { Exchange } from '../session.ts';
import { publicLine } from '../tagged-reply.ts';

type Next = (told: Buffer) => Promise<void> | null;

/** Responses of the mail server in which a UIDVALIDITY may stand, on their way to those that pass them on. */
export class ToldResponses {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** A status response; `tag` null: it is untagged. */
  line(octets: Buffer, tag: string | null, next: Next): Promise<void> | null {
    const { pending, parts } = this.#exchange;
    const told = parts.told === null ? octets : parts.told.line(octets, tag, pending);
    return told instanceof Promise ? this.#orGoodbye(told, next) : next(told);
  }

  /** An untagged response of that name is coming, which has to be whole to be told; null: it is told as it comes. */
  gather(name: string): GatheredResponse | null {
    if (name !== 'STATUS' || this.#exchange.parts.told?.isActive !== true) return null;
    return new GatheredResponse((response) => this.#status(response));
  }

  #status(response: Buffer): Promise<void> | null {
    const say: Next = (told) => this.#exchange.say(told);
    const told = this.#exchange.parts.told?.status(response) ?? response;
    return told instanceof Promise ? this.#orGoodbye(told, say) : say(told);
  }

  /** What must be told and cannot be ends the session, in words. */
  async #orGoodbye(telling: Promise<Buffer>, next: Next): Promise<void> {
    let told: Buffer;
    try {
      told = await telling;
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      const code = error.duration === 'temporary' ? '[UNAVAILABLE] ' : '';
      await this.#exchange.say(`* BYE ${code}${publicLine(error.publicText)}\r\n`);
      this.#exchange.byeSent = true;
      throw error;
    }
    await next(told);
  }
}

export class GatheredResponse {
  readonly #pieces: Buffer[] = [];
  #octets = 0;
  readonly #whole: (response: Buffer) => Promise<void> | null;

  constructor(whole: (response: Buffer) => Promise<void> | null) {
    this.#whole = whole;
  }

  /** @throws SealgateError `imap.protocol` for more than anybody has to say */
  add(octets: Buffer): void {
    this.#octets += octets.length;
    if (this.#octets > limits.epochs.statusOctets) {
      throw new SealgateError({
        code: 'imap.protocol',
        publicText: 'The mail server does not follow the IMAP protocol. Connect again.',
        duration: 'temporary',
        reason: 'a STATUS that is too long',
      });
    }
    this.#pieces.push(octets);
  }

  end(): Promise<void> | null {
    return this.#whole(Buffer.concat(this.#pieces));
  }
}
