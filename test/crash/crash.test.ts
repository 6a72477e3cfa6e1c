import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { oneGateway } from './one-gateway.ts';
import type { Setting } from './setting.ts';
import { threeNodes } from './three-nodes.ts';
import { underFire } from './under-fire.ts';

/** Twice as many kills as victims. A key process may not be there when it is its turn. */
const SETTINGS: readonly [string, number, (folder: string) => Promise<Setting>][] = [
  ['live', 6, (folder) => oneGateway('live', folder)],
  ['by the queue', 6, (folder) => oneGateway('queue', folder)],
  ['by three nodes', 14, threeNodes],
];

/** `npm run crash` sends 20,000; here it is shown, with each run of the tests, that it still holds for some. */
describe('load while everything is killed by chance', () => {
  it.concurrent.each(SETTINGS)(
    '%s: what was answered with 250 has arrived, whole, signed and, where that is demanded, encrypted',
    async (_name, kills, make) => {
      const folder = await mkdtemp(join(tmpdir(), 'sealgate-crash-'));
      const setting = await make(folder);
      try {
        const result = await underFire(setting, {
          ...{ mails: 100, lanes: 4, pause: 40, seed: 20_260_301, every: [200, 800], kills, folder },
        });
        const { sent, arrived, lost } = result;
        expect([...sent.refused]).toEqual([]);
        expect(sent.accepted.size).toBeGreaterThanOrEqual(100);
        expect(lost).toEqual([]);
        expect(arrived.unprotected).toEqual([]);
        expect(arrived.corrupted).toEqual([]);
        const { 'a key process': _, ...killed } = Object.fromEntries(result.kills.times);
        expect(Object.values(killed)).not.toContain(0);
      } finally {
        await setting.stop();
        await rm(folder, { recursive: true, force: true });
      }
    },
    // Each start of a process takes as long as it takes, and what a killed node was at waits for a minute.
    400_000,
  );
});
