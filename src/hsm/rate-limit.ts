import { SealgateError } from '../errors.ts';
import type { Clock } from '../pipeline/ports.ts';

/**
 * Uses of one key in a minute: a token bucket that holds a minute's worth and fills evenly, so that a burst is possible and a
 * stolen login cannot have a card sign all night.
 */
export class RateLimit {
  readonly #perMinute: number;
  readonly #clock: Clock;
  #left: number;
  #at: number;

  /** @param perMinute at least 1 */
  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
    this.#left = perMinute;
    this.#at = clock().getTime();
  }

  /**
   * Counts one use.
   *
   * @throws SealgateError `key.rate-limited` (temporary); such a use is not counted
   */
  take(label: string): void {
    const now = this.#clock().getTime();
    // A clock that was set back fills nothing, and takes nothing away.
    const passed = Math.max(0, now - this.#at);
    this.#at = now;
    this.#left = Math.min(this.#perMinute, this.#left + (passed * this.#perMinute) / 60_000);
    if (this.#left < 1) {
      throw new SealgateError({
        code: 'key.rate-limited',
        publicText: `The key ${label} has been used ${this.#perMinute} times within a minute, as often as the configuration allows (usesPerMinute); try again in a minute.`,
        duration: 'temporary',
      });
    }
    this.#left--;
  }
}
