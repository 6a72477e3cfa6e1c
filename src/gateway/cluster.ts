import { hostname as machine } from 'node:os';
import { agree } from '../cluster/agreement.ts';
import { installationFromSecret } from '../cluster/installation-from-secret.ts';
import { Nodes } from '../cluster/nodes.ts';
import type { Config } from '../config/load.ts';
import { clusterTables } from '../store/cluster-tables.ts';
import { openShared } from '../store/directory-store.ts';
import type { Installation } from '../store/installation.ts';
import type { PostgresqlStore } from '../store/postgresql.ts';
import type { SqlStore } from '../store/sql-store.ts';
import type { Opening } from './opening.ts';

/** What all nodes share. */
export type Cluster = {
  /** The directory, and what has to look as if one transaction came after the other. */
  store: PostgresqlStore;
  /** The same database for what many do at once (postgresql.ts, Isolation). */
  rows: SqlStore;
  installation: Installation;
  nodes: Nodes;
};

/**
 * null: the configuration has none, and this gateway is the only one.
 *
 * @throws SealgateError `store.unusable`, `store.unavailable`: a node that does not reach the database can do nothing; `cluster.differs`
 */
export async function openCluster({
  config,
  log,
  opened,
}: Pick<Opening, 'config' | 'log' | 'opened'>): Promise<Cluster | null> {
  if (config.cluster === null) return null;
  const { proof, ...installation } = installationFromSecret(config.cluster.secret);
  const store = opened.keep(await openClusterStore(config));
  await agree(store, { proof, hostname: config.hostname });
  const rows = store.snapshots();
  const nodes = opened.keep(new Nodes({ store: rows, name: config.cluster.node ?? machine(), log }));
  await nodes.join();
  return { store, rows, installation, nodes };
}

/** The database that the nodes share, for commands beside them as well. @throws SealgateError `store.unusable` */
export function openClusterStore({ directory }: Pick<Config, 'directory'>): Promise<PostgresqlStore> {
  const { store } = directory;
  if (store.kind !== 'postgresql') throw new Error('a cluster without a database that is shared');
  return openShared(store, clusterTables());
}
