import type { Timers } from '../../../src/reading/timers.ts';

/** Time that passes when a test says so. */
export class FakeTimers implements Timers {
  #now = 0;
  readonly #set = new Set<{ at: number; ms: number; run: () => void }>();
  #wake: (() => void)[] = [];

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, ms, run };
    this.#set.add(timer);
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
    return () => void this.#set.delete(timer);
  }

  now(): number {
    return this.#now;
  }

  /** Time passes in which nobody is told anything. */
  advance(ms: number): void {
    this.#now += ms;
  }

  /** How long each that waits has been told to wait. */
  get pending(): number[] {
    return [...this.#set].map(({ ms }) => ms);
  }

  /** Waits until somebody waits for as long as `ms`. */
  async asked(ms: number): Promise<void> {
    while (!this.pending.includes(ms)) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  /** Waits until somebody waits for as long as `ms`, and lets that time pass. */
  async pass(ms: number): Promise<void> {
    await this.asked(ms);
    this.#now += ms;
    for (const timer of [...this.#set]) {
      if (timer.at > this.#now) continue;
      this.#set.delete(timer);
      timer.run();
    }
  }
}
