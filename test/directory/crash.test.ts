import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { SqlDirectory } from '../../src/directory/sql-directory.ts';
import { silentLog } from '../../src/log/log.ts';
import { openSqlite, sql } from '../../src/store/sqlite.ts';

const script = join(import.meta.dirname, 'harvest-until-killed.ts');

/** Kills the process with SIGKILL while it writes, after it has confirmed some; gives what it had confirmed. */
async function harvestUntilKilled(file: string, start: number): Promise<string[]> {
  const child = spawn(process.execPath, [script, file, String(start)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const confirmed: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    confirmed.push(line);
    if (confirmed.length === 120) child.kill('SIGKILL');
  }
  await exited;
  return confirmed;
}

test('what the directory confirmed is there after its process was killed, and the database is whole', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-crash-'));
  const file = join(folder, 'directory.sqlite');
  try {
    const confirmed: string[] = [];
    for (let round = 0; round < 3; round++) {
      confirmed.push(...(await harvestUntilKilled(file, round * 1_000_000)));
      const store = await openSqlite(file);
      try {
        expect(await store.query(sql`PRAGMA integrity_check`)).toEqual([{ integrity_check: 'ok' }]);
        const directory = new SqlDirectory({ store, clock: () => new Date(), log: silentLog });
        for (const address of confirmed)
          expect([address, await directory.find(address)]).toEqual([address, [expect.anything()]]);
      } finally {
        await store.close();
      }
    }
    expect(confirmed.length).toBeGreaterThanOrEqual(360);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
