/** What comes at its time, earliest first: a binary heap. Whoever has changed its mind about a time adds another, and knows the old one again. */
export class DueTimes<T> {
  readonly #heap: { at: number; what: T }[] = [];

  /** Milliseconds; null: nothing comes. */
  get first(): number | null {
    return this.#heap[0]?.at ?? null;
  }

  add(at: number, what: T): void {
    const heap = this.#heap;
    let i = heap.length;
    const one = { at, what };
    heap.push(one);
    while (i > 0) {
      const above = (i - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || parent.at <= at) break;
      heap[i] = parent;
      i = above;
    }
    heap[i] = one;
  }

  /** The first, where its time has come; null: none has. */
  take(now: number): { at: number; what: T } | null {
    const [first] = this.#heap;
    if (first === undefined || first.at > now) return null;
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) this.#sink(last);
    return first;
  }

  #sink(one: { at: number; what: T }): void {
    const heap = this.#heap;
    for (let i = 0; ; ) {
      const [left, right] = [heap[2 * i + 1], heap[2 * i + 2]];
      const isRight = right !== undefined && left !== undefined && right.at < left.at;
      const child = isRight ? right : left;
      if (child === undefined || child.at >= one.at) {
        heap[i] = one;
        return;
      }
      heap[i] = child;
      i = 2 * i + (isRight ? 2 : 1);
    }
  }
}
