/** So that tests decide when time has passed. */
export interface Timers {
  /** Runs once after `ms` milliseconds; the returned function cancels. */
  after(ms: number, run: () => void): () => void;
  /** Milliseconds since some moment; never runs backwards. */
  now(): number;
}

export const systemTimers: Timers = {
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  now: () => performance.now(),
};
