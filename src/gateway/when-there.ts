import { setTimeout as sleep } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';

export type WaitingFor = {
  /** What is waited for, and where its place is said. */
  name: string;
  setting: string;
  log: Log;
  /** Told to end meanwhile. */
  stop?: AbortSignal | undefined;
  /** At most, and between two tries, milliseconds. */
  waitMs?: number;
  pauseMs?: number;
};

/** All parts of a system may be started at once, and a database be the last that is there. */
const WAIT_MS = 60_000;
const PAUSE_MS = 1_000;

/**
 * Tries again while it fails for now, for a minute.
 *
 * @throws SealgateError `cluster.database-away` (temporary); what is permanent as it is
 */
export async function whenThere<T>(
  work: () => Promise<T>,
  { name, setting, log, stop, waitMs = WAIT_MS, pauseMs = PAUSE_MS }: WaitingFor,
): Promise<T> {
  const until = performance.now() + waitMs;
  for (let isTold = false; ; isTold = true) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SealgateError) || error.duration === 'permanent') throw error;
      const reason = error.reason ?? error.publicText;
      if (stop?.aborted === true || performance.now() >= until) throw away(name, setting, reason, error);
      if (!isTold) log.write({ event: 'cluster.database-away', level: 'error', reason });
    }
    await sleep(pauseMs, null, stop === undefined ? {} : { signal: stop }).catch(() => null);
  }
}

function away(name: string, setting: string, reason: string, cause: SealgateError): SealgateError {
  return new SealgateError({
    code: 'cluster.database-away',
    duration: 'temporary',
    publicText: `${name} does not answer (${reason}). A node can do nothing without it: start it, or correct ${setting}.`,
    cause,
  });
}
