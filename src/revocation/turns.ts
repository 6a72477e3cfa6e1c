/** Lets so many at once have a turn; the others wait in the order in which they came, and not too many of them. */
export class Turns {
  #free: number;
  readonly #mostWaiting: number;
  readonly #waiting = new Set<() => void>();

  constructor(atOnce: number, mostWaiting: number) {
    this.#free = atOnce;
    this.#mostWaiting = mostWaiting;
  }

  /** @returns what ends the turn, to be called once; null: too many are waiting, or the signal was aborted. Never rejects. */
  take(signal: AbortSignal): Promise<(() => void) | null> {
    const turn = () => this.#next();
    if (signal.aborted) return Promise.resolve(null);
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve(turn);
    }
    if (this.#waiting.size >= this.#mostWaiting) return Promise.resolve(null);
    return new Promise((resolve) => {
      const start = () => {
        signal.removeEventListener('abort', stop);
        resolve(turn);
      };
      const stop = () => {
        this.#waiting.delete(start);
        resolve(null);
      };
      this.#waiting.add(start);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  #next(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
