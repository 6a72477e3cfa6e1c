import type { SessionId } from '../../ids.ts';
import { HeaderEnd } from '../../mail-view/header-end.ts';
import { classifyHeader } from '../../mail-view/message-class.ts';
import type { Principal } from '../../pipeline/ports.ts';
import type { PassingLiterals, TaggedReply } from '../pending.ts';
import { MessageLiterals } from './append-command.ts';
import type { Harvesting, Room } from './harvesting.ts';

/** Whose messages they are. */
export type KeepingSession = {
  session: SessionId;
  principal: Principal;
  harvesting: Harvesting;
  ended: AbortSignal;
};

/** A message that is whole. */
type Kept = { octets: Buffer; room: Room };

/**
 * Copies of the signed messages of one command that stores mail, made while they pass. Once the mail server has said OK their signers'
 * certificates are learned.
 *
 * Holds: of a message that is not signed by its header, or for which there is no room, no more than that header is kept, and only until
 * it is there.
 */
export class KeptAside implements PassingLiterals {
  readonly #of: KeepingSession;
  readonly #literals: MessageLiterals;
  #first: string | null;
  #message: PassingMessage | null = null;
  #kept: Kept[] = [];
  #isAwaited = false;
  #isOver = false;

  /** @param argument of the command, as its first line has it; latin1 */
  constructor(of: KeepingSession, verb: 'append' | 'replace', argument: string) {
    this.#of = of;
    this.#literals = new MessageLiterals(verb);
    this.#first = argument;
  }

  begin(line: Buffer, size: number): void {
    const text = this.#first ?? line.toString('latin1', 0, line.length - 2);
    this.#first = null;
    const is = this.#literals.next(text);
    if (is === 'message') this.message(size);
    if (is === 'lost') this.abandon();
  }

  /** A message of so many octets begins. */
  message(size: number): void {
    this.#message?.abandon();
    const { bounds } = this.#of.harvesting;
    const isLooked = !this.#isOver && size > 0 && size <= bounds.messageOctets;
    this.#message = isLooked ? new PassingMessage(this.#of, size) : null;
  }

  push(octets: Buffer): void {
    const message = this.#message;
    if (message === null || message.push(octets) === 'goes-on') return;
    this.#message = null;
    const whole = message.whole();
    if (whole !== null) this.#kept.push(whole);
  }

  /** The command is on its way: what is kept is learned from or let go by what the mail server says. */
  awaits(answer: Promise<TaggedReply>): void {
    this.#isAwaited = true;
    void answer.then(({ status }) => {
      if (this.#isOver || status !== 'OK') return this.abandon();
      const { session, principal, harvesting, ended } = this.#of;
      for (const kept of this.#kept) harvesting.add({ session, principal, ended, ...kept });
      this.#kept = [];
      this.abandon();
    });
  }

  /** The client's command is dealt with; what no answer is awaited for goes. */
  end(): void {
    if (!this.#isAwaited) this.abandon();
  }

  /** Nothing of this command is kept any more, or will be. */
  abandon(): void {
    this.#isOver = true;
    this.#message?.abandon();
    this.#message = null;
    for (const { room } of this.#kept) room.leave();
    this.#kept = [];
  }
}

/** One message on its way: first its header, then, where that says signed, all of it. */
class PassingMessage {
  readonly #of: KeepingSession;
  readonly #size: number;
  readonly #headerEnd = new HeaderEnd();
  /** The first `#filled` octets; of the message's size once it is known to be signed. */
  #octets: Buffer = Buffer.alloc(0);
  #filled = 0;
  #room: Room | null = null;

  constructor(of: KeepingSession, size: number) {
    this.#of = of;
    this.#size = size;
  }

  /** `ends`: nothing more of it is of interest. */
  push(octets: Buffer): 'goes-on' | 'ends' {
    if (this.#room === null) return this.#pushHeader(octets);
    return this.#copy(octets);
  }

  /** Of what has come to its end; null: it is not signed, or there was no room. */
  whole(): Kept | null {
    return this.#room === null ? null : { octets: this.#octets, room: this.#room };
  }

  abandon(): void {
    this.#room?.leave();
    this.#octets = Buffer.alloc(0);
  }

  #pushHeader(octets: Buffer): 'goes-on' | 'ends' {
    const { headerOctets } = this.#of.harvesting.bounds;
    // Looked at no further than a header may go.
    const seen = octets.subarray(0, headerOctets - this.#filled);
    const end = this.#headerEnd.in(seen);
    if (end === -1) {
      const isLast = this.#filled + seen.length >= Math.min(headerOctets, this.#size);
      if (isLast) return 'ends';
      this.#makeRoomFor(seen.length, headerOctets);
      return this.#copy(seen);
    }
    const before = this.#octets.subarray(0, this.#filled);
    const here = seen.subarray(0, end);
    const header = before.length === 0 ? here : Buffer.concat([before, here]);
    if (!isSigned(header)) return 'ends';
    this.#room = this.#of.harvesting.room(this.#of.principal, this.#size);
    if (this.#room === null) return 'ends';
    this.#octets = Buffer.allocUnsafeSlow(this.#size);
    before.copy(this.#octets);
    return this.#copy(octets);
  }

  /** By doubling: chunks may be an octet each. */
  #makeRoomFor(more: number, most: number): void {
    const needed = this.#filled + more;
    if (needed <= this.#octets.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.min(most, Math.max(needed, 2 * this.#octets.length)));
    this.#octets.copy(larger, 0, 0, this.#filled);
    this.#octets = larger;
  }

  #copy(octets: Buffer): 'goes-on' | 'ends' {
    this.#filled += octets.copy(this.#octets, this.#filled);
    return this.#filled < this.#size ? 'goes-on' : 'ends';
  }
}

function isSigned(header: Buffer): boolean {
  const messageClass = classifyHeader(header);
  return messageClass === 'clear-signed' || messageClass === 'opaque-signed';
}
