/**
 * When a delivery is tried: soon at first, then less and less often (RFC 5321 §4.5.4.1 asks for at least thirty minutes between attempts in the
 * long run), and a last time when it expires.
 */

const MINUTE_MS = 60_000;
const FIRST_MS = MINUTE_MS;
const LONGEST_MS = 120 * MINUTE_MS;

/** A sender who wants to know is told once, when it has taken so long. */
export const DELAY_TOLD_AFTER_MS = 4 * 60 * MINUTE_MS;

/** @param attempts that have failed, at least one */
export function waitAfter(attempts: number): number {
  // Beyond so many doublings it is the longest in any case, and numbers stay exact.
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempts - 1, 16));
}

/**
 * When to try again.
 *
 * @param attempts that have failed, the one at `now` included
 * @returns null: that was the last one
 */
export function nextAttempt(attempts: number, now: Date, expiresAt: Date): Date | null {
  if (now >= expiresAt) return null;
  return new Date(Math.min(now.getTime() + waitAfter(attempts), expiresAt.getTime()));
}

/**
 * When a delivery may not wait any longer with others of its destination, whatever that says: its sender is to hear of it then.
 */
export function overdueAt({
  enqueuedAt,
  expiresAt,
  delayTold,
}: {
  enqueuedAt: Date;
  expiresAt: Date;
  delayTold: boolean;
}): Date {
  if (delayTold) return expiresAt;
  return new Date(Math.min(expiresAt.getTime(), enqueuedAt.getTime() + DELAY_TOLD_AFTER_MS));
}

const PAUSE_FIRST_MS = 10_000;
const PAUSE_LONGEST_MS = 15 * MINUTE_MS;

/**
 * How long nothing is sent to a destination that is away.
 *
 * @param times that it was found away, one after another, at least one
 */
export function pauseAfter(times: number): number {
  return Math.min(PAUSE_LONGEST_MS, PAUSE_FIRST_MS * 2 ** Math.min(times - 1, 16));
}
