import { setTimeout as sleep } from 'node:timers/promises';
import { type Arrived, duplicatesOf, lookAtAll, lostOf } from './arrived.ts';
import { chanceOf } from './chance.ts';
import { type Sent, sendAll } from './sending.ts';
import type { Setting } from './setting.ts';
import { victimsByChance } from './victims.ts';

export type FireOptions = {
  mails: number;
  /** Connections of the sender. */
  lanes: number;
  seed: number;
  /** Between two kills, milliseconds: anything from the first to the second. */
  every: readonly [least: number, most: number];
  /** Where files go while messages are looked at. */
  folder: string;
  progress?: (text: string) => void;
};

export type FireResult = {
  sent: Sent;
  arrived: Arrived;
  /** By name, how often each of the victims was killed. */
  kills: ReadonlyMap<string, number>;
  lost: readonly string[];
  duplicates: number;
  seconds: number;
};

/** So long nothing may be delivered before it counts as stuck. */
const STUCK_MS = 90_000;

/** Sends numbered mails while everything is killed by chance, waits until nothing waits any more, and looks at what arrived. */
export async function underFire(setting: Setting, options: FireOptions): Promise<FireResult> {
  const { mails, lanes, seed, every, folder, progress = () => undefined } = options;
  const numbers = Array.from({ length: mails }, (_, i) => i + 1);
  const began = performance.now();
  const sending = new AbortController();
  const killing = kill(setting, chanceOf(seed), every, sending.signal, progress);
  let sent: Sent;
  try {
    sent = await Promise.race([sendAll(setting.port, numbers, lanes), killing.then(never)]);
  } finally {
    sending.abort();
  }
  const kills = await killing;
  const [refusal] = sent.refused.values();
  if (sent.accepted.size === 0) throw new Error(`nothing was accepted: ${refusal ?? 'no reply'}`);
  await drained(setting, progress);
  const seconds = (performance.now() - began) / 1000;
  progress('everything is delivered; each message is looked at');
  const { kept, caFile, secret } = setting;
  const arrived = await lookAtAll(kept, { folder, caFile, secret, atOnce: 4 });
  return {
    ...{ sent, arrived, kills, seconds },
    lost: lostOf(sent.accepted, arrived),
    duplicates: duplicatesOf(arrived),
  };
}

/** Where killing ends before sending does it has failed, and its error is thrown already. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

async function kill(
  { victims }: Setting,
  chance: () => number,
  [least, most]: FireOptions['every'],
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<ReadonlyMap<string, number>> {
  const kills = new Map(victims.map(({ name }) => [name, 0]));
  for (const victim of victimsByChance(victims, chance)) {
    await sleep(least + chance() * (most - least), null, { signal }).catch(() => null);
    if (signal.aborted) break;
    progress(`${victim.name} is killed`);
    await victim.hit();
    kills.set(victim.name, (kills.get(victim.name) ?? 0) + 1);
  }
  return kills;
}

async function drained(setting: Setting, progress: (text: string) => void): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  let since = performance.now();
  for (;;) {
    const waiting = await setting.waiting();
    if (waiting === 0) return;
    progress(`${waiting} wait to be delivered`);
    if (waiting < least) {
      least = waiting;
      since = performance.now();
    }
    if (performance.now() - since > STUCK_MS)
      throw new Error(`${waiting} mails wait and nothing is delivered`);
    await setting.hurry();
    await sleep(200);
  }
}
