/** So that tests decide when time has passed. */
export interface Timers {
  /** Runs once after `ms` milliseconds; the returned function cancels. */
  after(ms: number, run: () => void): () => void;
  /** Milliseconds since some moment; never runs backwards. */
  now(): number;
}

export const systemTimers: Timers = {
  after(ms, run) {
    // What waits belongs to a connection, which keeps the process alive as long as there is one.
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
  now: () => performance.now(),
};
