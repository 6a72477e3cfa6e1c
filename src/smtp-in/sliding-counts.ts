/** Parts of a window that are forgotten one by one. */
const PARTS = 12;

type Counted = {
  /** The newest part, counted in parts since time 0. */
  part: number;
  /** Of the newest part first. */
  counts: number[];
};

/**
 * How often things happened in the time that has just passed: exact to a twelfth of it, in bounded memory. Where there is no room for another
 * name, that of which nothing was heard for longest is forgotten.
 */
export class SlidingCounts {
  readonly #partMs: number;
  readonly #names: number;
  readonly #now: () => number;
  readonly #counted = new Map<string, Counted>();

  /** @param now milliseconds, never backwards */
  constructor(windowMs: number, names: number, now: () => number) {
    this.#partMs = windowMs / PARTS;
    this.#names = names;
    this.#now = now;
  }

  of(name: string): number {
    const counted = this.#counted.get(name);
    if (counted === undefined) return 0;
    this.#shift(counted);
    return counted.counts.reduce((sum, count) => sum + count, 0);
  }

  /**
   * What is returned says that it did not happen after all. It is taken out where it was counted: taken from a later part it would outlast
   * what it stands for, and who gives up often enough could send so much more.
   */
  add(name: string, count: number): () => void {
    const counted = this.#counted.get(name) ?? { part: this.#part(), counts: [0] };
    this.#shift(counted);
    counted.counts[0] = (counted.counts[0] ?? 0) + count;
    this.#counted.delete(name);
    this.#counted.set(name, counted);
    for (const oldest of this.#counted.keys()) {
      if (this.#counted.size <= this.#names) break;
      this.#counted.delete(oldest);
    }
    const { part } = counted;
    let isBack = false;
    return () => {
      if (isBack || this.#counted.get(name) !== counted) return;
      isBack = true;
      this.#shift(counted);
      const at = counted.part - part;
      const there = counted.counts[at];
      if (there !== undefined) counted.counts[at] = there - count;
    };
  }

  #part(): number {
    return Math.floor(this.#now() / this.#partMs);
  }

  #shift(counted: Counted): void {
    const part = this.#part();
    const passed = Math.min(PARTS, part - counted.part);
    counted.part = part;
    counted.counts = [...Array.from({ length: passed }, () => 0), ...counted.counts].slice(0, PARTS);
  }
}
