import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import { storeBusy, storePermissions, storeUnwritable } from './store-error.ts';
import { isCode } from './store-folder.ts';

/**
 * One writer at a time. The lock is SQLite's on an empty database, which is the system's on the file: it goes with the process
 * that holds it, however that ends, so there is never an old one to be judged.
 */

export const LOCK_FILE = 'lock';
const PATIENCE_MS = 10_000;
const PAUSE_MS = 25;

/** @throws SealgateError `key.store-busy`, `key.store-unwritable`, `key.store-permissions`, and what `write` throws */
export async function withLock<T>(folder: string, write: () => Promise<T>): Promise<T> {
  const path = join(folder, LOCK_FILE);
  await makeLockFile(path);
  const database = await locked(folder, path);
  try {
    return await write();
  } finally {
    database.close();
  }
}

async function locked(folder: string, path: string): Promise<DatabaseSync> {
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
  } catch (cause) {
    throw storeUnwritable(path, cause);
  }
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      // Nothing is ever written: no file beside this one.
      database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      return database;
    } catch (cause) {
      // SQLITE_BUSY
      const busy = cause instanceof Error && 'errcode' in cause && cause.errcode === 5;
      if (!busy || performance.now() > until) {
        database.close();
        throw busy ? storeBusy(folder) : storeUnwritable(path, cause);
      }
    }
    await wait(PAUSE_MS);
  }
}

/**
 * Ahead of SQLite, which would follow a link and make a file that others can read. It is never opened here where it is there
 * already: closing it would undo a lock that this process holds (fcntl(2)).
 */
async function makeLockFile(path: string): Promise<void> {
  try {
    await open(path, 'wx', 0o600).then((file) => file.close());
  } catch (cause) {
    if (!isCode(cause, 'EEXIST')) throw storeUnwritable(path, cause);
    const status = await lstat(path).catch((error: unknown) => {
      throw storeUnwritable(path, error);
    });
    if (!status.isFile()) throw storePermissions(path, 'is not a regular file', 'remove it');
  }
}
