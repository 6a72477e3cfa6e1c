import type { DatabaseSync } from 'node:sqlite';
import { isBusy } from './sqlite-busy.ts';

const AGAIN_MS = 5;
/** Never woken: a way to wait in a thread that has nothing else to do. */
const MOMENT = new Int32Array(new SharedArrayBuffer(4));

/**
 * Sets WAL. SQLite itself does not wait here: of two that open a new file at the same moment, one is told at once that it is locked.
 *
 * @param patience milliseconds for which others are waited for
 * @throws Error of node:sqlite
 */
export function writeAhead(database: DatabaseSync, patience: number): void {
  const until = performance.now() + patience;
  for (;;) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() > until) throw error;
      Atomics.wait(MOMENT, 0, 0, AGAIN_MS);
    }
  }
}
