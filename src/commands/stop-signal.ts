import { once } from 'node:events';

/** What comes within this time is one stop: npm, scripts and service managers each hand a signal on to the process, which has it from all of them. */
const ONE_STOP_MS = 2_000;

/**
 * Aborts at the first SIGINT or SIGTERM. From the call on these no longer end the process by themselves, so that it can
 * stop in order; one that comes later than `oneStopMs` after the first one ends it at once.
 */
export function stopSignal(oneStopMs = ONE_STOP_MS): AbortSignal {
  const stop = new AbortController();
  let one = 0;
  const told = (signal: NodeJS.Signals): void => {
    if (!stop.signal.aborted) {
      one = performance.now() + oneStopMs;
      stop.abort();
      return;
    }
    if (performance.now() < one) return;
    for (const each of SIGNALS) process.off(each, told);
    process.kill(process.pid, signal);
  };
  for (const signal of SIGNALS) process.on(signal, told);
  return stop.signal;
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

export async function untilStopped(stop: AbortSignal): Promise<void> {
  if (!stop.aborted) await once(stop, 'abort');
}
