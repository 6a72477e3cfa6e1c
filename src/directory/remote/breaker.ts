/**
 * A circuit breaker: who has failed several times in a row is not asked for a while, so that nobody waits for him; then one question is
 * let through to see. Pure: times are milliseconds of one clock, said by the caller.
 */
export type BreakerState = 'closed' | 'open' | 'half-open';

export class Breaker {
  readonly #failures: number;
  readonly #retryMs: number;
  #inARow = 0;
  #openedAt: number | null = null;
  #probing = false;

  /** @param failures in a row that open it @param retryMs after which one question is let through */
  constructor(failures: number, retryMs: number) {
    this.#failures = failures;
    this.#retryMs = retryMs;
  }

  state(now: number): BreakerState {
    if (this.#openedAt === null) return 'closed';
    return this.#probing || now - this.#openedAt >= this.#retryMs ? 'half-open' : 'open';
  }

  /** Whether a question may be asked now; whoever got a yes says how it ended. */
  mayAsk(now: number): boolean {
    if (this.#openedAt === null) return true;
    if (this.#probing || now - this.#openedAt < this.#retryMs) return false;
    this.#probing = true;
    return true;
  }

  /** @returns whether it was open */
  succeeded(): boolean {
    const wasOpen = this.#openedAt !== null;
    this.#inARow = 0;
    this.#openedAt = null;
    this.#probing = false;
    return wasOpen;
  }

  /** @returns whether it has opened by that; a probe that failed leaves it open */
  failed(now: number): boolean {
    const wasOpen = this.#openedAt !== null;
    this.#inARow++;
    this.#probing = false;
    if (!wasOpen && this.#inARow < this.#failures) return false;
    this.#openedAt = now;
    return !wasOpen;
  }
}
