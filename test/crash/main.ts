import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Kills } from './killing.ts';
import { oneGateway } from './one-gateway.ts';
import type { Setting } from './setting.ts';
import { threeNodes } from './three-nodes.ts';
import { type FireResult, underFire } from './under-fire.ts';

/** `npm run crash`: load while everything is killed by chance. Ends with 1 where a mail that was accepted is lost, unprotected or corrupted. */

const SETTINGS: Readonly<Record<string, (folder: string) => Promise<Setting>>> = {
  live: (folder) => oneGateway('live', folder),
  queue: (folder) => oneGateway('queue', folder),
  nodes: threeNodes,
};
/** Duplicates are what a sender makes who did not hear the answer; more of them would be of our making. */
const DUPLICATES = 0.01;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mails: { type: 'string', default: '20000' },
    lanes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    every: { type: 'string', default: '1000-3000' },
    keep: { type: 'boolean', default: false },
  },
});
const mails = Number(values.mails);
const every = /^(\d+)-(\d+)$/.exec(values.every)?.slice(1).map(Number);
if (every === undefined) throw new Error('--every wants milliseconds from one kill to the next: 1000-3000');
const [least = 0, most = 0] = every;
const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

for (const name of positionals.length === 0 ? Object.keys(SETTINGS) : positionals) {
  const make = SETTINGS[name];
  if (make === undefined) throw new Error(`there is no setting ${name}: ${Object.keys(SETTINGS).join(', ')}`);
  const folder = await mkdtemp(join(tmpdir(), `sealgate-crash-${name}-`));
  const setting = await make(folder);
  try {
    const result = await underFire(setting, {
      ...{
        mails,
        lanes: Number(values.lanes),
        seed: Number(values.seed),
        every: [least, most],
        kills: null,
        pause: 0,
        folder,
        progress,
      },
    });
    progress('');
    console.log(report(name, result));
    if (!isGood(result)) process.exitCode = 1;
  } finally {
    await setting.stop();
    if (!values.keep) await rm(folder, { recursive: true, force: true });
  }
}

function isGood({ sent, arrived, lost, duplicates }: FireResult): boolean {
  const bad = [lost, arrived.unprotected, arrived.corrupted, [...sent.refused]].flat().length;
  return bad === 0 && sent.accepted.size === mails && duplicates < DUPLICATES * mails;
}

function intervals({ intervals }: Kills): string {
  const some = [intervals.at(0), intervals[Math.floor(intervals.length / 2)], intervals.at(-1)];
  return some.map((one) => ((one ?? 0) / 1000).toFixed(1)).join(' ');
}

function report(name: string, { sent, arrived, kills, lost, duplicates, seconds }: FireResult): string {
  const killed = [...kills.times].map(([victim, times]) => `${victim} ${times}`).join(', ');
  const isShort = [...kills.times.values()].includes(0)
    ? ' (too few mails for everybody to have been killed)'
    : '';
  const some = (items: readonly string[]) =>
    items.length === 0 ? '0' : `${items.length} (${items.slice(0, 3).join('; ')})`;
  return [
    `${name}: ${sent.accepted.size} of ${mails} mails accepted in ${seconds.sending.toFixed(0)} s, and delivered ${seconds.draining.toFixed(0)} s later`,
    `  killed meanwhile ${kills.intervals.length}, one every ${intervals(kills)} s (least, median, most): ${killed}${isShort}`,
    `  told to come again ${sent.deferred}, end not heard ${sent.unknown}, refused ${some([...sent.refused.values()])}`,
    `  lost ${some(lost)}, unprotected ${some(arrived.unprotected)}, corrupted ${some(arrived.corrupted)}`,
    `  twice ${duplicates} (${((100 * duplicates) / mails).toFixed(2)} %), reports ${arrived.reports}`,
  ].join('\n');
}
