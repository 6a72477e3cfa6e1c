import { pauseAfter } from './schedule.ts';

/** A place that is away. `most`: as long as this pause ever is, milliseconds. */
export type Pause = { times: number; until: number; most: number; because: string };

/** For the log. */
export type PauseChange = { kind: 'resumed' } | { kind: 'paused'; because: string; until: Date };

/** A clock that is set back makes no pause longer than it was. */
export function isOver({ until, most }: Pause, now: number): boolean {
  return now >= until || until - now > most;
}

/** Several that were under way when it went away are one time. */
export function pausedFrom(former: Pause | null, because: string, now: number): Pause {
  if (former !== null && !isOver(former, now)) return { ...former, because };
  const times = (former?.times ?? 0) + 1;
  const most = pauseAfter(times);
  return { times, until: now + most, most, because };
}
