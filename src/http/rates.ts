/**
 * How often something may happen to each of many in a span of time, which begins when it happens first. Of too many, those whose
 * span began least recently are forgotten.
 */
export class Rates {
  readonly #most: number;
  readonly #spanMs: number;
  readonly #remembered: number;
  readonly #now: () => number;
  /** In the order in which their spans began. */
  readonly #spans = new Map<string, { times: number; until: number }>();

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
    const span = this.#spans.get(key);
    if (span !== undefined && span.until > now) {
      if (span.times >= this.#most) return span.until - now;
      span.times++;
      return 0;
    }
    this.#spans.delete(key);
    this.#spans.set(key, { times: 1, until: now + this.#spanMs });
    const [oldest] = this.#spans.keys();
    if (this.#spans.size > this.#remembered && oldest !== undefined) this.#spans.delete(oldest);
    return 0;
  }
}
