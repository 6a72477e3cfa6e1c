import type { KeyClientTimes } from './key-client-options.ts';

/** Starts in a row without success after which requests are told at once instead of waiting for the next one. */
const PATIENCE = 3;

/** Key processes of one place that were started since the last one that was of use: how long the next one waits, and whether anybody waits for it. */
export class Starts {
  readonly #times: Pick<KeyClientTimes, 'restart' | 'restartMost' | 'wait'>;
  #failed = 0;

  constructor(times: Pick<KeyClientTimes, 'restart' | 'restartMost' | 'wait'>) {
    this.#times = times;
  }

  succeeded(): void {
    this.#failed = 0;
  }

  failed(): void {
    this.#failed++;
  }

  get noneHasFailed(): boolean {
    return this.#failed === 0;
  }

  get areTooMany(): boolean {
    return this.#failed >= PATIENCE;
  }

  /** Before the next one, milliseconds. Doubles with each that fails. */
  get pause(): number {
    const { restart, restartMost } = this.#times;
    return Math.min(restart * 2 ** Math.min(this.#failed, 20), restartMost);
  }

  /**
   * Whether, when one fails that was started then, the next is waited for before anybody is told: whoever starts the gateway does not wait for a
   * hung one thrice. @param since as of performance.now()
   */
  leaveHope(since: number): boolean {
    return this.#failed + 1 < PATIENCE && performance.now() - since < this.#times.wait;
  }
}
