import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Recipient } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import { isTemporary, restReply, type Stop } from './partial-hand-over.ts';
import type { HandOver, HandOverOutcome, Keeping, StoreAndForward, Submission, Variant } from './ports.ts';
import { refusalOf } from './refusal.ts';

/**
 * What the upstream does not take of a mail of which it has taken a part: what it may take later is put into the queue, what it never will is
 * reported to the sender, and the client hears 250.
 *
 * Holds: nothing of it is kept before `commit`. Nobody is reported to nobody: without a reverse path, or without a queue, the client is told.
 */
export class TheRest {
  readonly #submission: Submission;
  readonly #storeAndForward: StoreAndForward | null;
  readonly #log: Log;
  #keeping: Keeping | null = null;
  /** Who is to get it by the queue, and of whom the sender is told. */
  readonly kept: Recipient[] = [];
  readonly #failed: Recipient[] = [];

  /** @param storeAndForward null: there is no queue */
  constructor(submission: Submission, storeAndForward: StoreAndForward | null, log: Log) {
    this.#submission = submission;
    this.#storeAndForward = storeAndForward;
    this.#log = log;
  }

  get isEmpty(): boolean {
    return this.#keeping === null;
  }

  get recipients(): readonly Recipient[] {
    return [...this.kept, ...this.#failed];
  }

  /** @returns `not`: the client has to be told. Never rejects. */
  async take(variant: Variant, outcome: HandOverOutcome): Promise<'kept' | 'reported' | 'not'> {
    if (this.#storeAndForward === null || outcome.kind === 'accepted' || outcome.kind === 'each')
      return 'not';
    const forGood = outcome.kind === 'rejected' && !isTemporary(outcome) ? outcome.reply : null;
    if (forGood !== null && this.#submission.envelope.reversePath === null) return 'not';
    this.#keeping ??= this.#storeAndForward.begin(this.#submission);
    try {
      if (forGood === null) await this.#keeping.add(variant);
      else await this.#keeping.fail(variant, forGood);
    } catch (error) {
      this.#tell(error);
      return 'not';
    }
    (forGood === null ? this.kept : this.#failed).push(...variant.recipients);
    return forGood === null ? 'kept' : 'reported';
  }

  /** @param upstream whose own acceptance becomes durable with it. @returns why nothing was kept; null: all of it is */
  async commit(upstream: HandOver): Promise<Stop | null> {
    try {
      await upstream.commit?.();
      await this.#keeping?.commit();
      return null;
    } catch (error) {
      this.#tell(error);
      await this.#keeping?.drop();
      return { kind: 'not-kept', refusal: refusalOf(error) };
    }
  }

  /** @returns whose mail is not kept after all */
  async drop(): Promise<readonly Recipient[]> {
    await this.#keeping?.drop();
    return this.recipients;
  }

  /** @param done who has it */
  reply(done: readonly Recipient[], mail: Submission['id']): Reply {
    return restReply({ done, kept: this.kept, failed: this.#failed }, mail);
  }

  #tell(error: unknown): void {
    if (error instanceof SealgateError) {
      const reason = error.reason ?? error.publicText;
      this.#log.write({ event: 'queue.unavailable', level: 'error', reason });
    } else {
      const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#log.write({ event: 'gateway.defect', level: 'error', where: 'pipeline/the-rest', error: trace });
    }
  }
}
