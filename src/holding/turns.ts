/** Work on one thing, one after another; on different things at once. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  async of<T>(thing: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(thing) ?? Promise.resolve();
    // Whether the one before failed is its own caller's affair.
    const turn = before.then(work, work);
    this.#last.set(thing, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(thing) === turn) this.#last.delete(thing);
    }
  }
}
