import { limits } from '../limits.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { MessageCollector } from '../smtp/dot-stuffing.ts';
import { hasNulBeforeDot } from '../smtp/line-faults.ts';
import { Unstuffing } from '../smtp/unstuffing.ts';
import type { Conversation, Step } from './conversation.ts';
import { type Intake, type Intaken, MORE } from './intake.ts';
import { MessageBody, type Received } from './message-body.ts';
import { UpstreamAlive } from './upstream-alive.ts';

type Long = { unstuffing: Unstuffing; body: MessageBody };

/**
 * The message in DATA. What is short is gathered and looked at in one go, which costs least; what is longer than
 * `limits.smtp.memoryOctets` goes into a spool as it comes.
 */
export class DataIntake implements Intake {
  readonly #conversation: Conversation;
  readonly #maxOctets: number;
  readonly #collected: (received: Received) => Promise<Step>;
  readonly #short: MessageCollector;
  #long: Long | null = null;
  /** null: the whole message may still come in one go, as most do. */
  #alive: UpstreamAlive | null = null;
  #seen = 0;

  constructor(
    conversation: Conversation,
    maxOctets: number,
    collected: (received: Received) => Promise<Step>,
  ) {
    this.#conversation = conversation;
    this.#maxOctets = maxOctets;
    this.#collected = collected;
    this.#short = new MessageCollector(maxOctets);
  }

  push(chunk: Buffer): Intaken {
    this.#seen += chunk.length;
    this.#alive?.octetsCame();
    if (this.#long !== null) return this.#bounded(this.#pushLong(this.#long, chunk));
    const outcome = this.#short.push(chunk);
    if (outcome.kind === 'end') return outcome;
    this.#alive ??= new UpstreamAlive(this.#conversation);
    const gathered = this.#seen > limits.smtp.memoryOctets ? this.#short.takeOut() : null;
    if (gathered === null) return this.#bounded(MORE);
    const { spool } = this.#conversation.ports.reception;
    this.#long = {
      unstuffing: new Unstuffing(),
      body: new MessageBody(spool, this.#maxOctets),
    };
    return this.#bounded(this.#pushLong(this.#long, gathered));
  }

  #pushLong({ unstuffing, body }: Long, chunk: Buffer): Exclude<Intaken, { kind: 'too-much' }> {
    const { octets, rest } = unstuffing.update(chunk);
    const ready = body.add(octets);
    return rest === null ? { kind: 'more', ready } : { kind: 'end', rest };
  }

  /** A message that is refused is still waited for, since its end is where commands go on; but not for ever. */
  #bounded(outcome: Intaken): Intaken {
    if (outcome.kind === 'end' || this.#seen <= mostSeen(this.#maxOctets)) return outcome;
    return { kind: 'too-much' };
  }

  done(): Promise<Step> {
    if (this.#long !== null) return this.#long.body.finish().then(this.#collected);
    return this.#collected(receivedFrom(this.#short));
  }

  discard(): void {
    void this.#long?.body.discard();
  }
}

/** Octets after which a client is not listened to any longer that sends a message of more than it may have. */
export function mostSeen(maxOctets: number): number {
  return 2 * maxOctets + limits.smtp.readAheadOctets;
}

function receivedFrom(collector: MessageCollector): Received {
  const collected = collector.collected();
  if (collected.kind !== 'message') return collected;
  const { octets } = collected;
  if (hasNulBeforeDot(octets)) return { kind: 'nul-before-dot' };
  return { kind: 'message', octets: bufferSource(octets), discard: () => NOTHING };
}

const NOTHING = Promise.resolve();
