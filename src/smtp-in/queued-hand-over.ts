import { SealgateError } from '../errors.ts';
import type {
  HandOver,
  HandOverOutcome,
  Keeping,
  StoreAndForward,
  Submission,
  UpstreamFacts,
  Variant,
} from '../pipeline/ports.ts';
import { reply } from '../smtp/reply.ts';

/**
 * Puts the variants of one submission into the queue, in the place of the mail server.
 *
 * Holds: nothing of it is there before `commit`, and after that all of it.
 */
export class QueuedHandOver implements HandOver {
  /** Where it leaves to is seen when it leaves: what must go by TLS waits for that. */
  readonly upstream: UpstreamFacts = { tls: true, requireTls: true };
  readonly #keeping: Keeping;

  constructor(storeAndForward: StoreAndForward, submission: Submission) {
    this.#keeping = storeAndForward.begin(submission);
  }

  /** Throws nothing that is declared: it is a refusal, with which the client tries again. */
  async deliver(variant: Variant): Promise<HandOverOutcome> {
    try {
      await this.#keeping.add(variant);
      return { kind: 'accepted', reply: reply(250, '2.0.0', 'Queued') };
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      const isFull = error.code === 'queue.full';
      return {
        kind: 'rejected',
        reply: reply(isFull ? 452 : 451, isFull ? '4.3.1' : '4.3.0', error.publicText),
      };
    }
  }

  commit(): Promise<void> {
    return this.#keeping.commit();
  }

  /** What was not committed by now goes. Never rejects. */
  close(): Promise<void> {
    return this.#keeping.drop();
  }
}
