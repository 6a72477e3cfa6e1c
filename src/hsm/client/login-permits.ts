import type { Refusals } from '../key-state.ts';

/**
 * Which secrets may leave for the token of one place.
 *
 * Must never happen: one that was refused leaves again, or one of which nobody knows whether it was refused.
 */
export class LoginPermits {
  readonly #kept: Refusals;
  /** Also while `kept` is still writing. */
  readonly #refused = new Set<string>();
  readonly #accepted = new Set<string>();

  constructor(kept: Refusals) {
    this.#kept = kept;
  }

  /** @param identity null: a person has typed it just now, and it is no other's */
  async mayLeave(identity: string | null): Promise<boolean> {
    if (identity === null) return true;
    return !this.#refused.has(identity) && !(await this.#kept.has(identity));
  }

  /** The token has accepted this very secret: a later crash says nothing about it. */
  isProven(identity: string | null): boolean {
    return identity !== null && this.#accepted.has(identity);
  }

  accepted(identity: string | null): void {
    if (identity !== null) this.#accepted.add(identity);
  }

  refused(identity: string | null): void {
    if (identity === null) return;
    this.#accepted.delete(identity);
    this.#refused.add(identity);
    void this.#kept.add(identity);
  }
}
