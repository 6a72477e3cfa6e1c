/** Milliseconds that all work on long octets may take before others have their turn. */
const SLICE_MS = 4;

/**
 * For work on octets that come from spools, of which there may be much at once: what the disk has read for fifty messages comes in one
 * turn of the event loop, and would be worked on in one go.
 *
 * Holds: whoever asks between two chunks goes on at once while there is time left in this turn of the loop, and nobody waits; else it
 * waits, and one of those who wait goes on in each turn, in the order in which they came. Everybody else (short mail, other sessions) comes
 * in between.
 */
export class Turns {
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];
  #until = 0;
  #isWatched = false;

  /** `now`: milliseconds. */
  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** To be waited for; null: there is time left. */
  over(): Promise<void> | null {
    if (!this.#isWatched) this.#watch();
    if (this.#waiting.length === 0 && this.#now() < this.#until) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise;
  }

  #watch(): void {
    this.#isWatched = true;
    this.#until = this.#now() + SLICE_MS;
    setImmediate(() => {
      this.#isWatched = false;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#watch();
      next();
    });
  }
}

/** Of all work on spools in this process. */
export const turns = new Turns();
