import { once } from 'node:events';

/**
 * Aborts at the first SIGINT or SIGTERM. From the call on these no longer end the process by themselves, so that it can
 * stop in order; a second signal ends it at once.
 */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}

export async function untilStopped(stop: AbortSignal): Promise<void> {
  if (!stop.aborted) await once(stop, 'abort');
}
