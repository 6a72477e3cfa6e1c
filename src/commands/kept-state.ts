import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installationFromSecret } from '../cluster/installation-from-secret.ts';
import type { Config } from '../config/load.ts';
import { openBesideNodes } from '../gateway/cluster.ts';
import { removeSpooled, SPOOL } from '../queue/spool-folder.ts';
import { DECISIONS, decisionMigrations } from '../store/decision-records.ts';
import { openDirectoryStore } from '../store/directory-store.ts';
import { epochMigrations } from '../store/epoch-migrations.ts';
import { type Installation, loadInstallation } from '../store/installation.ts';
import type { PostgresqlStore } from '../store/postgresql.ts';
import { QUEUE, queueMigrations } from '../store/queue-migrations.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';
import { openSqliteAsItIs } from '../store/sqlite.ts';
import { TRAIL, trailMigrations } from '../store/trail-migrations.ts';
import { isThere } from './is-there.ts';

/** What commands find where the gateway keeps it: in its state folder, or in the database that the nodes of a cluster share. */

/** The rows of the queue, and how what is sealed for them is removed. */
export type QueueRows = { store: SqlStore; remove(name: string): Promise<void> };

/** @param none where there is no queue. @throws SealgateError `store.unusable`, `store.unavailable` */
export async function withQueueRows<T>(
  config: Config,
  none: T,
  act: (queue: QueueRows) => Promise<T>,
): Promise<T> {
  if (config.cluster !== null) {
    return withShared(config, (shared) => {
      const store = shared.snapshots();
      return act({
        store,
        async remove(name) {
          await store.query(sql`DELETE FROM spool_piece WHERE spool_file = ${name}`);
        },
      });
    });
  }
  const { stateFolder } = config;
  if (!(await isThere(join(stateFolder, QUEUE)))) return none;
  return closing(await openSqliteAsItIs(join(stateFolder, QUEUE), queueMigrations), (store) =>
    act({ store, remove: (name) => removeSpooled(join(stateFolder, SPOOL), name) }),
  );
}

/** @throws SealgateError `store.unusable`, `store.unavailable` */
export async function withEpochRows<T>(config: Config, act: (store: SqlStore) => Promise<T>): Promise<T> {
  if (config.cluster !== null) return withShared(config, act);
  return closing(await openSqliteAsItIs(join(config.stateFolder, 'epochs.sqlite'), epochMigrations), act);
}

/** @param none where nothing was ever kept. @throws SealgateError `store.unusable`, `store.unavailable` */
export async function withDecisionRows<T>(
  config: Config,
  none: T,
  act: (store: SqlStore) => Promise<T>,
): Promise<T> {
  if (config.cluster !== null) return withShared(config, (shared) => act(shared.snapshots()));
  const file = join(config.stateFolder, DECISIONS);
  // A file that is made here would be its administrator's, and the gateway could not write it.
  if (!existsSync(file)) return none;
  return closing(await openSqliteAsItIs(file, decisionMigrations), act);
}

/** @param none where nothing was ever kept. @throws SealgateError `store.unusable`, `store.unavailable` */
export async function withTrailRows<T>(
  config: Config,
  none: T,
  act: (store: SqlStore) => Promise<T>,
): Promise<T> {
  if (config.cluster !== null) return withShared(config, (shared) => act(shared.snapshots()));
  const file = join(config.stateFolder, TRAIL);
  if (!(await isThere(file))) return none;
  return closing(await openSqliteAsItIs(file, trailMigrations, 'takes-the-last'), act);
}

/**
 * Certificates and the decisions about them.
 *
 * @param own the gateway's own database; whoever opened it closes it
 * @throws SealgateError `store.unusable`, `store.unavailable`, `cluster.tables`
 */
export function openCertificateRows(config: Config, own: SqlStore): Promise<SqlStore> {
  return config.cluster === null ? openDirectoryStore(config.directory.store, own) : openBesideNodes(config);
}

/** @throws SealgateError `store.unusable` */
export async function installationOf({ cluster, stateFolder }: Config): Promise<Installation> {
  return cluster === null ? loadInstallation(stateFolder) : installationFromSecret(cluster.secret);
}

/** The database that the nodes share, for as long as `act` takes. */
export async function withShared<T>(
  config: Pick<Config, 'cluster' | 'directory' | 'hostname'>,
  act: (shared: PostgresqlStore) => Promise<T>,
): Promise<T> {
  return closing(await openBesideNodes(config), act);
}

async function closing<Store extends SqlStore, T>(
  store: Store,
  act: (store: Store) => Promise<T>,
): Promise<T> {
  try {
    return await act(store);
  } finally {
    await store.close();
  }
}
