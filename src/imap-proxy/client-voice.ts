import { type Answer, octetsOf } from './answer.ts';
import type { Wire } from './wire.ts';

/** Pieces of an answer that are joined with what is around them. */
const COPIED_OCTETS = 16 * 1024;

/** A whole response, or a piece of one that is relayed. */
type Said = { what: Buffer | Answer | (() => void); said: () => void };

/**
 * What a client hears: responses that are relayed piece by piece, and whole ones of the gateway's own between them.
 *
 * Holds: octets of two responses never mix. Answers from views are written chunk by chunk, as the client takes them.
 * Must never happen: an answer that ends before the literal it has announced, with anything behind it. Where its octets
 * cannot be read any more, the connection is reset.
 */
export class ClientVoice {
  readonly #client: Wire;
  readonly #broken: (error: unknown) => void;
  /** Part of the response that is being relayed has gone to the client. */
  #inside = false;
  /** Whole responses that wait for the end of the one that is relayed. */
  #later: Said[] = [];
  /** An answer is being written, and what is said meanwhile, in order. */
  #writing: Promise<void> | null = null;
  #queue: Said[] = [];
  #cut = false;
  #abandoned = false;

  /** `broken`: the error that ended the connection in the middle of an answer. */
  constructor(client: Wire, broken: (error: unknown) => void) {
    this.#client = client;
    this.#broken = broken;
  }

  /** Whether the client has the beginning of a response whose end nobody can say any more, unless the upstream does. */
  get inside(): boolean {
    return this.#inside || this.#cut;
  }

  /** A piece of a response whose end is still to come. A promise: wait for it before saying much more. */
  piece(octets: Buffer): Promise<void> | null {
    this.#inside = true;
    return this.#say(octets);
  }

  /** A whole response. Resolves when it is said; an answer's view is held until then. */
  whole(what: Buffer | Answer): Promise<void> | null {
    return this.#between(what);
  }

  /** Does something in the place of a whole response: nothing is said between what it says itself. */
  turn(act: () => void): Promise<void> | null {
    return this.#between(act);
  }

  /** The response that was relayed is whole. */
  responseEnded(): void {
    this.#inside = false;
    if (this.#later.length === 0) return;
    const later = this.#later;
    this.#later = [];
    for (const { what, said } of later) {
      const wait = this.#say(what);
      if (wait === null) said();
      else void wait.then(said);
    }
  }

  /** What waits for the end of a response that never comes is not said, nor what is ready only later. */
  abandon(): void {
    this.#abandoned = true;
    const later = this.#later;
    this.#later = [];
    for (const each of later) dropped(each);
  }

  /** Resolves when no answer is being written. */
  async quiet(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  #between(what: Said['what']): Promise<void> | null {
    if (!this.#inside) return this.#say(what);
    return new Promise((said) => {
      if (this.#abandoned) dropped({ what, said });
      else this.#later.push({ what, said });
    });
  }

  #say(what: Said['what']): Promise<void> | null {
    if (this.#writing !== null) {
      return new Promise((resolve) => this.#queue.push({ what, said: resolve }));
    }
    if (Buffer.isBuffer(what)) return this.#client.write(what);
    if (typeof what === 'function') {
      what();
      return null;
    }
    if (what.pieces.every((piece) => Buffer.isBuffer(piece))) {
      const whole = Buffer.concat(what.pieces);
      what.release();
      return this.#client.write(whole);
    }
    this.#writing = this.#write(what);
    return this.#writing;
  }

  /** Writes an answer, and then what was said meanwhile. */
  async #write(answer: Answer): Promise<void> {
    await this.#writeAnswer(answer);
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      if (Buffer.isBuffer(next.what)) await this.#client.write(next.what);
      else if (typeof next.what === 'function') next.what();
      else await this.#writeAnswer(next.what);
      next.said();
    }
    this.#writing = null;
  }

  async #writeAnswer(answer: Answer): Promise<void> {
    try {
      for await (const octets of octetsOf(answer)) {
        if (this.#client.ended) return this.#cutOff();
        // The octets are gone when the next ones are asked for.
        if (octets.length < COPIED_OCTETS) await this.#client.write(Buffer.from(octets));
        else await this.#client.through(octets);
      }
    } catch (error) {
      this.#cutOff();
      this.#broken(error);
    } finally {
      answer.release();
    }
  }

  #cutOff(): void {
    this.#cut = true;
    this.#client.destroy();
  }
}

function dropped({ what, said }: Said): void {
  if (!Buffer.isBuffer(what) && typeof what !== 'function') what.release();
  said();
}
