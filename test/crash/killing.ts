import { setTimeout as sleep } from 'node:timers/promises';
import type { Victim } from './setting.ts';
import { victimsByChance } from './victims.ts';

/** From one kill to the next, milliseconds: anything from the first to the second, whether the last victim is back or not. */
export type Every = readonly [least: number, most: number];

export type Kills = {
  /** By name, how often each of the victims was killed. */
  times: ReadonlyMap<string, number>;
  /** Milliseconds from each kill to the next, in ascending order; the first is counted from the begin. */
  intervals: readonly number[];
};

/**
 * Kills by chance until it is told to stop, or there were so many, and resolves when everybody is there again.
 *
 * @param enough kills after which it ends by itself; null: none
 * @throws Error as soon as somebody does not come back
 */
export async function kill(
  victims: readonly Victim[],
  chance: () => number,
  [least, most]: Every,
  enough: number | null,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<Kills> {
  const times = new Map(victims.map(({ name }) => [name, 0]));
  const intervals: number[] = [];
  const backs: Promise<void>[] = [];
  const missing = Promise.withResolvers<never>();
  missing.promise.catch(() => undefined);
  const pause = () => least + chance() * (most - least);
  let last = performance.now();
  let due = last + pause();
  try {
    for (const victim of victimsByChance(victims, chance)) {
      const slept = sleep(Math.max(0, due - performance.now()), null, { signal }).catch(() => null);
      await Promise.race([slept, missing.promise]);
      if (signal.aborted) break;
      const now = performance.now();
      const hit = await victim.hit(chance);
      // Then it is the next one's turn, at once.
      if (hit === null) continue;
      progress(`${victim.name} was killed`);
      hit.back.catch(missing.reject);
      backs.push(hit.back);
      times.set(victim.name, (times.get(victim.name) ?? 0) + 1);
      intervals.push(now - last);
      last = now;
      due = now + pause();
      if (intervals.length === enough) break;
    }
    await Promise.all(backs);
  } finally {
    // Nobody is started any more once this has ended.
    await Promise.allSettled(backs);
  }
  return { times, intervals: intervals.toSorted((one, other) => one - other) };
}
