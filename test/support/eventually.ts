import { vi } from 'vitest';

/**
 * Waits until `assertion` throws no more: for half a minute, which is a limit for a hang and not a judgement. A test
 * that takes a second for enough fails on a machine with other work to do.
 *
 * @param intervalMs how often it is tried, in milliseconds; where `vi` keeps the time, that moves on by as much with
 *   each try
 * @returns what `assertion` gives
 * @throws what `assertion` threw last
 */
export function eventually<T>(assertion: () => T | Promise<T>, intervalMs = 10): Promise<T> {
  return vi.waitFor(assertion, { timeout: 30_000, interval: intervalMs });
}
