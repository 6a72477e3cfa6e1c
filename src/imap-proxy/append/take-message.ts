import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { AtRestMark, AtRestMarks } from '../../mail-view/at-rest-marker.ts';
import { HeaderCleaner } from '../../mail-view/forged-status.ts';
import type { SpooledOctets, SpoolWriter } from '../../octets/source.ts';
import { clientClosed, clientProtocol } from '../commands/command-context.ts';
import type { FramerEvent, LiteralSize } from '../framer.ts';
import { HeaderPeek } from '../header-peek.ts';
import type { Exchange } from '../session.ts';
import type { KeptAside } from './kept-aside.ts';

/** A message as its client has sent it; in an encrypted spool, the caller's to discard. */
export type TakenMessage = { mark: AtRestMark; octets: SpooledOctets };

/** Why it is not taken, as resp-text with its code. */
export type NotTaken = { refused: string };

/**
 * Takes the literal of a message. All of it is taken, also where it will be refused: its client sends it in any case once it was
 * told to go on.
 *
 * Must never happen: octets of the message on a disk in the clear.
 *
 * @throws SealgateError `imap.protocol` when the client goes away in the middle of it, or says nothing for minutes
 */
export async function takeMessage(
  exchange: Exchange,
  { size, nonSync }: LiteralSize,
  marks: AtRestMarks,
  kept: KeptAside | null,
): Promise<TakenMessage | NotTaken> {
  if (!nonSync) await exchange.say('+ Go on\r\n');
  const { spool, views } = exchange.parts;
  kept?.message(size);
  const taking = new Taking(spool.begin(), marks, new HeaderCleaner(views.names));
  try {
    for (let left = size; left > 0; ) {
      const { octets, remaining } = await nextOfLiteral(exchange);
      left = remaining;
      kept?.push(octets);
      await taking.push(octets, left === 0);
    }
  } catch (error) {
    await taking.abandon();
    throw error;
  }
  return taking.finish(size);
}

class Taking {
  readonly #writer: SpoolWriter;
  readonly #hash: ReturnType<AtRestMarks['digest']>;
  readonly #cleaner: HeaderCleaner;
  #peek: HeaderPeek | null = new HeaderPeek(limits.mail.headerOctets);
  #header: Buffer = Buffer.alloc(0);
  #refused: string | null = null;

  constructor(writer: SpoolWriter, marks: AtRestMarks, cleaner: HeaderCleaner) {
    this.#writer = writer;
    this.#hash = marks.digest();
    this.#cleaner = cleaner;
  }

  async push(octets: Buffer, last: boolean): Promise<void> {
    if (this.#refused !== null) return;
    if (this.#peek === null) return this.#write(octets);
    const seen = this.#peek.push(octets, last);
    if (seen === null) return;
    this.#peek = null;
    // Nobody shall read a status here that only a view has: what a client has from there, or from a stranger, is a copy.
    this.#header = this.#cleaner.clean(seen.header);
    if (this.#header.length > limits.atRest.headerOctets) {
      this.#refused = '[LIMIT] The header of this message is larger than can be stored encrypted.';
      return;
    }
    await this.#write(this.#header);
    await this.#write(seen.rest);
  }

  async #write(octets: Buffer): Promise<void> {
    if (octets.length === 0) return;
    try {
      await this.#writer.write(octets);
      this.#hash.update(octets);
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      this.#refused = `[UNAVAILABLE] ${error.publicText}`;
    }
  }

  async finish(length: number): Promise<TakenMessage | NotTaken> {
    try {
      if (this.#refused === null) {
        const octets = await this.#writer.finish();
        return { mark: { length, header: this.#header, digest: this.#hash.digest() }, octets };
      }
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      return { refused: `[UNAVAILABLE] ${error.publicText}` };
    }
    await this.abandon();
    return { refused: this.#refused };
  }

  async abandon(): Promise<void> {
    await this.#writer.discard();
  }
}

async function nextOfLiteral(exchange: Exchange): Promise<Extract<FramerEvent, { type: 'literal' }>> {
  const event = await nextInTime(exchange);
  if (event === null || event.type !== 'literal') throw clientClosed();
  return event;
}

/** A client that has stopped in the middle of a message holds a spool, and the turn of everything else in its session. */
export async function nextInTime({ parts: { client, timers } }: Exchange): Promise<FramerEvent | null> {
  let cancel: () => void = () => undefined;
  const silent = new Promise<'silent'>((resolve) => {
    cancel = timers.after(limits.atRest.silenceMs, () => resolve('silent'));
  });
  try {
    const event = await Promise.race([client.next(), silent]);
    if (event === 'silent') throw clientProtocol('the client has stopped in the middle of a message');
    return event;
  } finally {
    cancel();
  }
}
