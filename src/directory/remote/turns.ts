/** A few at once, the others in the order in which they came. */
export class Turns {
  readonly #most: number;
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether nobody would have to wait now. */
  get isFree(): boolean {
    return this.#taken < this.#most;
  }

  /** false: `signal` was aborted before; there is nothing to give back then. */
  async take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.isFree) {
      this.#taken++;
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const turn = () => resolve(true);
    const abandon = () => {
      this.#waiting.delete(turn);
      resolve(false);
    };
    this.#waiting.add(turn);
    signal.addEventListener('abort', abandon);
    const taken = await promise;
    signal.removeEventListener('abort', abandon);
    return taken;
  }

  give(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#taken--;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
