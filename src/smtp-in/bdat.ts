import type { Origin } from '../pipeline/ports.ts';
import { type Reply, reply } from '../smtp/reply.ts';
import { beforeMessage } from './before-message.ts';
import type { Conversation, Step, Transaction } from './conversation.ts';
import { maxOctetsOf, whatIsMissing } from './data.ts';
import { mostSeen } from './data-intake.ts';
import type { Intake, Intaken } from './intake.ts';
import { endOfData, speaksLmtp } from './lmtp.ts';
import { MessageBody } from './message-body.ts';
import { logRefusal } from './relay.ts';
import { refusalFor, submit } from './submit.ts';
import { untilEndOf } from './transaction-end.ts';
import { UpstreamAlive } from './upstream-alive.ts';

/**
 * BDAT (RFC 3030 §2): a message in chunks whose lengths are said before. It leaves by DATA, so its lines have to end with CRLF as there.
 *
 * What holds: announced octets are never read as commands, whatever the reply; where they would be too many the session ends instead. After
 * a refusal the rest of the chunks is refused too, up to the last one or RSET. By LMTP the last one has a reply for each recipient
 * (RFC 2033 §4.3).
 */
export type ChunkedMessage = {
  readonly transaction: Transaction;
  readonly body: MessageBody;
  readonly maxOctets: number;
  readonly alive: UpstreamAlive;
  /** Of all chunks so far. */
  announced: number;
  /** Why it will not be taken. */
  refused: Reply | null;
};

type Chunk = { octets: number; last: boolean };

/** All replies to MAIL and RCPT are in when this is called. */
export function bdat(conversation: Conversation, chunk: Chunk): Step | Promise<Step> {
  const { transaction, origin } = conversation;
  const maxOctets = maxOctetsOf(conversation);
  const announced = (conversation.chunks?.announced ?? 0) + chunk.octets;
  if (announced > mostSeen(maxOctets)) {
    const refusal = reply(552, '5.3.4', 'The message is far too large; closing the connection');
    logRefusal(conversation, refusal, null);
    return { kind: 'end', reply: refusal };
  }
  if (transaction === null || origin === null) {
    const refusal = whatIsMissing(null) ?? reply(503, '5.5.1', 'Send MAIL and RCPT first');
    return following(
      chunk.octets,
      new SwallowedChunk(chunk.octets, async () => refused(conversation, refusal)),
    );
  }
  if (conversation.chunks !== null) return next(conversation, conversation.chunks, origin, chunk);
  const message = begin(conversation, transaction, maxOctets);
  message.refused = whatIsMissing(transaction);
  const judged = (refusal: Reply | null): Step | Promise<Step> => {
    message.refused = refusal;
    if (refusal !== null) logRefusal(conversation, refusal, null);
    return next(conversation, message, origin, chunk);
  };
  if (message.refused !== null) return judged(message.refused);
  const asked = beforeMessage(conversation, transaction);
  return asked instanceof Promise ? asked.then(judged) : judged(asked);
}

function begin(conversation: Conversation, transaction: Transaction, maxOctets: number): ChunkedMessage {
  const body = new MessageBody(conversation.ports.reception.spool, maxOctets);
  const alive = new UpstreamAlive(conversation);
  const message = { transaction, body, maxOctets, alive, announced: 0, refused: null };
  conversation.chunks = message;
  untilEndOf(conversation, transaction, () => {
    if (conversation.chunks === message) conversation.chunks = null;
    void body.discard();
  });
  return message;
}

function next(
  conversation: Conversation,
  message: ChunkedMessage,
  origin: Origin,
  { octets, last }: Chunk,
): Step | Promise<Step> {
  const { body, transaction, maxOctets } = message;
  message.announced += octets;
  const known = message.refused;
  // What is too much is not kept in the first place.
  if (known === null && message.announced > maxOctets) body.refuse('too-large');
  const done = async (): Promise<Step> => {
    const refusal = known ?? (body.failed === null ? null : refusalFor(conversation, body.failed, maxOctets));
    if (refusal !== null) {
      message.refused = refusal;
      if (last) conversation.transaction = null;
      if (last && speaksLmtp(conversation) && whatIsMissing(transaction) === null) {
        if (known === null) logRefusal(conversation, refusal, null);
        return endOfData(conversation, transaction, { reply: refusal });
      }
      // The client may have sent further chunks before it heard of the first refusal: they are no errors of theirs.
      return known === null ? refused(conversation, refusal) : { kind: 'refused-before', reply: refusal };
    }
    if (!last) return { kind: 'reply', reply: reply(250, '2.0.0', `${octets} octets received`) };
    return submit(conversation, transaction, origin, await body.finish(), maxOctets);
  };
  return following(
    octets,
    known === null ? new ChunkIntake(message, octets, done) : new SwallowedChunk(octets, done),
  );
}

/** A chunk without octets is there at once. */
function following(octets: number, intake: Intake): Step | Promise<Step> {
  return octets === 0 ? intake.done() : { kind: 'take', reply: null, intake };
}

function refused(conversation: Conversation, refusal: Reply): Step {
  logRefusal(conversation, refusal, null);
  return { kind: 'reply', reply: refusal };
}

/** The octets of one chunk; what is behind them are commands. */
class SwallowedChunk implements Intake {
  #missing: number;
  readonly done: () => Promise<Step>;

  constructor(octets: number, done: () => Promise<Step>) {
    this.#missing = octets;
    this.done = done;
  }

  push(chunk: Buffer): Intaken {
    const here = chunk.subarray(0, this.#missing);
    this.#missing -= here.length;
    const ready = this.keep(here);
    return this.#missing === 0 ? { kind: 'end', rest: chunk.subarray(here.length) } : { kind: 'more', ready };
  }

  discard(): void {
    // What the message has, its transaction gives back.
  }

  protected keep(_octets: Buffer): Promise<void> | null {
    return null;
  }
}

class ChunkIntake extends SwallowedChunk {
  readonly #message: ChunkedMessage;
  #kept: Promise<void> | null = null;

  constructor(message: ChunkedMessage, octets: number, done: () => Promise<Step>) {
    super(octets, async () => {
      await this.#kept;
      return done();
    });
    this.#message = message;
  }

  protected override keep(octets: Buffer): Promise<void> | null {
    this.#message.alive.octetsCame();
    this.#kept = this.#message.body.add(octets);
    return this.#kept;
  }
}
