import type { Timers } from '../reading/timers.ts';

/** How often a client hears that something goes on (RFC 9585 §4): many give up a server that is silent for a minute. */
const TOLD_MS = 10_000;

/** Calls `tell` every ten seconds until the returned function is called. */
export function tellNowAndThen(timers: Timers, tell: () => void): () => void {
  const again = (): void => {
    cancel = timers.after(TOLD_MS, again);
    tell();
  };
  let cancel = timers.after(TOLD_MS, again);
  return () => cancel();
}
