import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import { printable } from '../../log/printable.ts';
import type { AddressKey } from '../address-key.ts';
import { Breaker, type BreakerState } from './breaker.ts';
import { OF_ADDRESS_ALONE, type RemoteAnswer } from './remote-source.ts';
import { Turns } from './turns.ts';

/** How one question ended. `milliseconds`: how long it took. */
export type Asked<Answer = RemoteAnswer> =
  | { kind: 'answered'; answer: Answer; milliseconds: number }
  | { kind: 'failed'; reason: string; milliseconds: number }
  /** It was not asked: it has failed too often just now, or its turn did not come in time. */
  | { kind: 'not-asked'; reason: string };

/** Whoever can be asked. */
export type Askable<Question, Answer> = {
  readonly name: string;
  readonly timeoutMs: number;
  /** @throws SealgateError (temporary): there is no answer; see `OF_ADDRESS_ALONE` */
  ask(question: Question, signal: AbortSignal): Promise<Answer>;
};

export type AskedSourceParts<Source> = {
  /** Of the breaker. */
  failures: number;
  retryMs: number;
  /** Told when the breaker opens (with the reason) and when it closes (null). */
  onChange(source: Source, openedBy: string | null): void;
};

/** One source with all that keeps it from holding mail up: its time limit, its breaker, a bound of questions at once. */
export class AskedSource<
  Question = AddressKey,
  Answer = RemoteAnswer,
  Source extends Askable<Question, Answer> = Askable<Question, Answer>,
> {
  readonly source: Source;
  readonly #breaker: Breaker;
  readonly #turns = new Turns(limits.directory.questionsToSource);
  readonly #onChange: AskedSourceParts<Source>['onChange'];

  constructor(source: Source, { failures, retryMs, onChange }: AskedSourceParts<Source>) {
    this.source = source;
    this.#breaker = new Breaker(failures, retryMs);
    this.#onChange = onChange;
  }

  get breaker(): BreakerState {
    return this.#breaker.state(performance.now());
  }

  /** Never rejects, and takes no longer than the source's time limit and until `signal`. */
  async ask(question: Question, signal: AbortSignal): Promise<Asked<Answer>> {
    const waited = !this.#turns.isFree;
    if (!(await this.#turns.take(signal)))
      return { kind: 'not-asked', reason: 'its turn did not come in time' };
    try {
      if (!this.#breaker.mayAsk(performance.now())) {
        return { kind: 'not-asked', reason: 'it has failed several times just now' };
      }
      return await this.#askNow(question, signal, waited);
    } finally {
      this.#turns.give();
    }
  }

  async #askNow(question: Question, signal: AbortSignal, waited: boolean): Promise<Asked<Answer>> {
    const began = performance.now();
    const took = () => Math.round(performance.now() - began);
    const inTime = new AbortController();
    const abandon = () => inTime.abort();
    const timer = setTimeout(abandon, this.source.timeoutMs);
    signal.addEventListener('abort', abandon);
    if (signal.aborted) abandon();
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => undefined);
    inTime.signal.addEventListener('abort', () => late.reject(new Error('no answer in time')));
    try {
      // What it does with the signal is its own affair: nobody waits longer.
      const asked = this.source.ask(question, inTime.signal);
      asked.catch(() => undefined);
      const answer = await Promise.race([asked, late.promise]);
      if (this.#breaker.succeeded()) this.#onChange(this.source, null);
      return { kind: 'answered', answer, milliseconds: took() };
    } catch (error) {
      const reason = reasonOf(error);
      if (error instanceof SealgateError && OF_ADDRESS_ALONE.has(error.code)) {
        if (this.#breaker.succeeded()) this.#onChange(this.source, null);
      } else if (waited && signal.aborted && this.breaker === 'closed') {
        // Whoever waited for a turn had less than the time that the source may take: others were slow, which a stranger's domain may be.
      } else if (this.#breaker.failed(performance.now())) this.#onChange(this.source, reason);
      return { kind: 'failed', reason, milliseconds: took() };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abandon);
      inTime.abort();
    }
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof SealgateError) return printable(error.reason ?? error.publicText);
  return printable(error instanceof Error ? error.message : String(error));
}
