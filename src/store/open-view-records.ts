import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { SealgateError } from '../errors.ts';
import type { SqliteEpochs } from './epochs.ts';
import { openSqlite, type SqlStore, sql } from './sqlite.ts';
import { viewMigrations } from './view-migrations.ts';
import { SqliteViewRecords } from './view-records.ts';

export type OpenedViewRecords = {
  store: SqlStore;
  records: SqliteViewRecords;
  /** Other records were here before, or another installation's: what clients were shown is not known any more. */
  lost: 'no' | 'lost';
  /** Where damaged ones were put; null: they are not damaged. */
  movedTo: string | null;
};

type KnownRecords = Pick<SqliteEpochs, 'recordsIdentity' | 'setRecordsIdentity' | 'needForAll'>;

export type ViewRecordsSettings = {
  /** Its id: from the secret behind it come the names of readers and the form of what is shown, so records of another one say nothing. */
  installation: string;
  newEpoch: 'at-need' | 'by-command';
};

/**
 * Opens the records of what was shown. A damaged file keeps nobody from their mail: it is put aside, whole, and a new one begun.
 *
 * @param epochs knows which records there were
 * @param now names the file that is put aside
 * @throws SealgateError `store.unusable` (permanent): made by a newer version, not readable, not writable
 */
export async function openViewRecords(
  stateFolder: string,
  epochs: KnownRecords,
  { now, ...settings }: ViewRecordsSettings & { now: Date },
): Promise<OpenedViewRecords> {
  const file = join(stateFolder, 'views.sqlite');
  let movedTo: string | null = null;
  let store = await openSound(file);
  if (store === null) {
    movedTo = await putAside(file, now);
    store = await open(file);
  }
  try {
    return { store, movedTo, ...(await recordsIn(store, epochs, settings)) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Records that all nodes of a cluster share. Whoever opened the store closes it. */
export async function sharedViewRecords(
  store: SqlStore,
  epochs: KnownRecords,
  settings: ViewRecordsSettings,
): Promise<Omit<OpenedViewRecords, 'store'>> {
  return { movedTo: null, ...(await recordsIn(store, epochs, settings)) };
}

/** Whether these are the records that the epochs are about. */
async function recordsIn(
  store: SqlStore,
  epochs: KnownRecords,
  { installation, newEpoch }: ViewRecordsSettings,
): Promise<Pick<OpenedViewRecords, 'records' | 'lost'>> {
  const records = new SqliteViewRecords(store);
  const id = `${await records.identity()} ${installation}`;
  const known = await epochs.recordsIdentity();
  const lost = known !== null && known !== id;
  if (lost && newEpoch === 'at-need') await epochs.needForAll();
  if (known !== id) await epochs.setRecordsIdentity(id);
  return { records, lost: lost ? 'lost' : 'no' };
}

/** null: it is damaged. */
async function openSound(file: string): Promise<SqlStore | null> {
  let store: SqlStore;
  try {
    store = await open(file);
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
  try {
    const [found] = await store.query(sql`PRAGMA quick_check(1)`);
    if (found?.quick_check === 'ok') return store;
  } catch (error) {
    if (!isDamage(error)) {
      await store.close();
      throw error;
    }
  }
  await store.close();
  return null;
}

function open(file: string): Promise<SqlStore> {
  return openSqlite(file, viewMigrations, 'takes-the-last');
}

/** SQLITE_NOTADB and SQLITE_CORRUPT, in SQLite's own words. */
function isDamage(error: unknown): boolean {
  if (!(error instanceof SealgateError)) return false;
  return /file is not a database|malformed/.test(`${error.publicText} ${error.reason ?? ''}`);
}

/** With what SQLite keeps beside it, which would be taken for that of the new one. */
async function putAside(file: string, now: Date): Promise<string> {
  const aside = `${file}.damaged-${now.toISOString().replace(/[-:]|\.[0-9]+/g, '')}`;
  for (const beside of ['-wal', '-shm', '']) {
    try {
      await rename(`${file}${beside}`, `${aside}${beside}`);
    } catch (cause) {
      const isAbsent = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
      if (isAbsent && beside !== '') continue;
      throw new SealgateError({
        code: 'store.unusable',
        publicText: `The database ${file} is damaged and cannot be put aside. Move it elsewhere, with -wal and -shm beside it; a new one is made then.`,
        duration: 'permanent',
        cause,
      });
    }
  }
  return aside;
}
