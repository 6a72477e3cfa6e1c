/**
 * How often something may happen to each of many, in any span of time. Of too many, those that were counted least recently are
 * forgotten.
 */
export class Rates {
  readonly #most: number;
  readonly #spanMs: number;
  readonly #remembered: number;
  readonly #now: () => number;
  /** When it has happened, oldest first. What was counted last is last. */
  readonly #times = new Map<string, readonly number[]>();

  /** @param now milliseconds that never run backwards */
  constructor(bounds: { most: number; spanMs: number; remembered: number }, now: () => number) {
    this.#most = bounds.most;
    this.#spanMs = bounds.spanMs;
    this.#remembered = bounds.remembered;
    this.#now = now;
  }

  /** 0: it may happen, and was counted. Else it may in so many milliseconds. */
  count(key: string): number {
    const now = this.#now();
    const times = (this.#times.get(key) ?? []).filter((time) => now - time < this.#spanMs);
    const [oldest] = times;
    if (times.length >= this.#most && oldest !== undefined) return oldest + this.#spanMs - now;
    this.#times.delete(key);
    this.#times.set(key, [...times, now]);
    const [least] = this.#times.keys();
    if (this.#times.size > this.#remembered && least !== undefined) this.#times.delete(least);
    return 0;
  }
}
