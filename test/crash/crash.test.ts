import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { oneGateway } from './one-gateway.ts';
import { underFire } from './under-fire.ts';

/** `npm run crash` sends 20,000; here it is shown, with each run of the tests, that it still holds for some. */
describe('load while everything is killed by chance', () => {
  it('live: what was answered with 250 has arrived, whole, signed and, where that is demanded, encrypted', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealgate-crash-'));
    const setting = await oneGateway('live', folder);
    try {
      const { sent, arrived, lost, kills } = await underFire(setting, {
        ...{ mails: 250, lanes: 4, seed: 20_260_301, every: [100, 400], folder },
      });
      expect([...sent.refused]).toEqual([]);
      expect(sent.accepted.size).toBe(250);
      expect(lost).toEqual([]);
      expect(arrived.unprotected).toEqual([]);
      expect(arrived.corrupted).toEqual([]);
      expect([...kills.times.values()].reduce((sum, times) => sum + times, 0)).toBeGreaterThan(0);
    } finally {
      await setting.stop();
      await rm(folder, { recursive: true, force: true });
    }
    // Each start of a process takes as long as it takes.
  }, 240_000);
});
