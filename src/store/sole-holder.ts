import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SealgateError } from '../errors.ts';
import { storeUnusable } from './sql-store.ts';
import { isBusy } from './sqlite-busy.ts';

/** Its file in the state folder; nothing is ever in it. */
const FILE = 'queue.lock';

/** As long as it is not closed, nobody else holds the same folder. It ends with the process, however that ends. */
export type SoleHolder = { close(): Promise<void> };

/**
 * Two that deliver what one state folder keeps would each deliver all of it. The lock is SQLite's own on a file: of the operating system,
 * so that a crash leaves none behind.
 *
 * @throws SealgateError `queue.in-use` (permanent): another process holds it; `store.unusable`
 */
export function holdAlone(stateFolder: string): SoleHolder {
  const file = join(stateFolder, FILE);
  let database: DatabaseSync | null = null;
  try {
    makeFile(file);
    database = new DatabaseSync(file, { timeout: 0 });
    const held = database;
    held.exec('BEGIN EXCLUSIVE');
    return {
      async close() {
        held.close();
      },
    };
  } catch (error) {
    database?.close();
    const reason = error instanceof Error ? error.message : String(error);
    throw isBusy(error) ? inUse(stateFolder) : storeUnusable(file, reason);
  }
}

/**
 * Ahead of SQLite, which would make one that others can read. One that is there is not opened: closing it would undo a lock of this process
 * (fcntl(2)).
 */
function makeFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

function inUse(stateFolder: string): SealgateError {
  return new SealgateError({
    code: 'queue.in-use',
    duration: 'permanent',
    publicText: `Another gateway runs with the state folder ${stateFolder}: each would deliver what waits there. Stop it, or give this one a stateFolder of its own.`,
  });
}
