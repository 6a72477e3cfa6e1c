/** One at a time, in the order in which they asked. */
export class Turn {
  #taken = false;
  readonly #queue: ((granted: boolean) => void)[] = [];

  /** true: it is the caller's, until it gives it back. false: `signal` came first. */
  async take(signal?: AbortSignal): Promise<boolean> {
    if (signal?.aborted === true) return false;
    if (!this.#taken) {
      this.#taken = true;
      return true;
    }
    return new Promise((resolve) => {
      const settle = (granted: boolean): void => {
        signal?.removeEventListener('abort', abandon);
        resolve(granted);
      };
      const abandon = (): void => {
        this.#queue.splice(this.#queue.indexOf(settle), 1);
        settle(false);
      };
      signal?.addEventListener('abort', abandon);
      this.#queue.push(settle);
    });
  }

  /** true: it is the caller's at once, until it gives it back. */
  takeNow(): boolean {
    if (this.#taken) return false;
    this.#taken = true;
    return true;
  }

  give(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#taken = false;
    else next(true);
  }
}
