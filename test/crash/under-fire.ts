import { setTimeout as sleep } from 'node:timers/promises';
import { type Arrived, duplicatesOf, lookAtAll, lostOf } from './arrived.ts';
import { chanceOf } from './chance.ts';
import { type Every, type Kills, kill } from './killing.ts';
import { type Sent, sendAll } from './sending.ts';
import type { Setting } from './setting.ts';

export type FireOptions = {
  mails: number;
  /** Connections of the sender. */
  lanes: number;
  seed: number;
  every: Every;
  /** So many, and mails for as long as they take, even if that makes more of them; null: for as long as the mails take. */
  kills: number | null;
  /** Of each connection behind a mail, milliseconds. */
  pause: number;
  /** Where files go while messages are looked at. */
  folder: string;
  progress?: (text: string) => void;
};

export type FireResult = {
  sent: Sent;
  arrived: Arrived;
  kills: Kills;
  lost: readonly string[];
  duplicates: number;
  /** While there were kills, and from then on until nothing waited any more. */
  seconds: { sending: number; draining: number };
};

/** So long nothing may be delivered before it counts as stuck. */
const STUCK_MS = 90_000;

/** Sends numbered mails while everything is killed by chance, waits until nothing waits any more, and looks at what arrived. */
export async function underFire(setting: Setting, options: FireOptions): Promise<FireResult> {
  const { mails, lanes, seed, every, folder, progress = () => undefined } = options;
  const began = performance.now();
  const stop = new AbortController();
  const killing = kill(setting.victims, chanceOf(seed), every, options.kills, stop.signal, progress);
  let isOver = options.kills === null;
  const killed = killing.then(() => {
    isOver = true;
  });
  let number = 0;
  const next = () => (number < mails || !isOver ? ++number : null);
  let sent: Sent;
  try {
    const sending = sendAll(setting.port, next, { lanes, pause: options.pause });
    sent = await Promise.race([sending, killed.then(never), setting.endedByItself]);
  } catch (error) {
    stop.abort();
    // Whoever stops the setting then finds nobody who is just being started.
    await killing.catch(() => undefined);
    throw error;
  }
  stop.abort();
  const sentAt = performance.now();
  const kills = await Promise.race([killing, setting.endedByItself]);
  const [refusal] = sent.refused.values();
  if (sent.accepted.size === 0) throw new Error(`nothing was accepted: ${refusal ?? 'no reply'}`);
  await Promise.race([drained(setting, progress), setting.endedByItself]);
  const seconds = { sending: (sentAt - began) / 1000, draining: (performance.now() - sentAt) / 1000 };
  progress('everything is delivered; each message is looked at');
  const { kept, caFile, secret } = setting;
  const arrived = await lookAtAll(kept, { folder, caFile, secret, atOnce: 4 });
  return {
    ...{ sent, arrived, kills, seconds },
    lost: lostOf(sent.accepted, arrived),
    duplicates: duplicatesOf(arrived),
  };
}

/** Only the error of what ends before is waited for. */
function never(): Promise<never> {
  return new Promise(() => undefined);
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
