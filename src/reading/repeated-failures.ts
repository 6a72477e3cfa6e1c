import type { Timers } from './timers.ts';

/** What a client that asks again and again for what is not to be had is told. */
export type Penalty = {
  /** Milliseconds until the answer. */
  delayMs: number;
  /** The session ends: this client does not listen. */
  bye: boolean;
};

const FIRST_DELAY_MS = 2_000;
const LONGEST_DELAY_MS = 30_000;
const REPEATS = 4;
/** After this long it is a person who tries again. */
const FORGOTTEN_MS = 600_000;
const REMEMBERED = 10_000;

/**
 * How often the key of a message was away when a session asked for it. The first failure is answered at once, further ones
 * later and later, and the fourth repetition ends the session, as Dovecot ends those that fetch what cannot be read: some
 * clients ask in a loop. Only answers are delayed, never an attempt: a key that is back is used at once.
 */
export class RepeatedFailures {
  readonly #timers: Timers;
  readonly #failures = new Map<string, { repeats: number; at: number }>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  failed(message: string): Penalty {
    const now = this.#timers.now();
    const known = this.#failures.get(message);
    const repeats = known === undefined || now - known.at > FORGOTTEN_MS ? 0 : known.repeats + 1;
    if (this.#failures.size >= REMEMBERED) this.#failures.clear();
    this.#failures.set(message, { repeats, at: now });
    if (repeats === 0) return { delayMs: 0, bye: false };
    return {
      delayMs: Math.min(FIRST_DELAY_MS * 2 ** (repeats - 1), LONGEST_DELAY_MS),
      bye: repeats >= REPEATS,
    };
  }

  opened(message: string): void {
    this.#failures.delete(message);
  }
}
