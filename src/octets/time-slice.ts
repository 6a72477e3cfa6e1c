import { setImmediate } from 'node:timers/promises';

/** Milliseconds after which others have their turn: no one notices so few. */
const SLICE_MS = 5;

/**
 * For work whose length a stranger chooses, done where everybody else's is done: it asks now and then whether it has had its time, and
 * waits while others have theirs.
 */
export class TimeSlice {
  readonly #now: () => number;
  readonly #others: () => Promise<unknown>;
  #until: number;

  /** `now`: milliseconds; `others`: resolves when they have had their turn. */
  constructor(now = () => performance.now(), others: () => Promise<unknown> = () => setImmediate()) {
    this.#now = now;
    this.#others = others;
    this.#until = now() + SLICE_MS;
  }

  /** To be waited for; null, the usual answer: there is time left. */
  over(): Promise<void> | null {
    return this.#now() < this.#until ? null : this.#wait();
  }

  async #wait(): Promise<void> {
    await this.#others();
    this.#until = this.#now() + SLICE_MS;
  }
}
