import { hostname as machine } from 'node:os';
import { type Agreed, agree, refuseStranger } from '../cluster/agreement.ts';
import { installationFromSecret } from '../cluster/installation-from-secret.ts';
import { Nodes } from '../cluster/nodes.ts';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { clusterTables } from '../store/cluster-tables.ts';
import { openShared, openSharedAsItIs, sharedTables } from '../store/directory-store.ts';
import type { Installation } from '../store/installation.ts';
import type { PostgresqlStore } from '../store/postgresql.ts';
import { requireTables } from '../store/present-tables.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { AlikeSections } from './alike.ts';
import type { Opening } from './opening.ts';
import { version } from './version.ts';
import { whenThere } from './when-there.ts';

/** What all nodes share. */
export type Cluster = {
  /** The directory, and what has to look as if one transaction came after the other. */
  store: PostgresqlStore;
  /** The same database for what many do at once (postgresql.ts, Isolation). */
  rows: SqlStore;
  installation: Installation;
  nodes: Nodes;
  /** What this node says of its configuration. */
  alike: AlikeSections;
  /**
   * Does what a start cannot go on without, again and again while the database is away. Only what may be done twice: where the answer was lost,
   * the first time has been.
   *
   * @throws SealgateError `cluster.database-away`: for a minute, or the node was told to end meanwhile
   */
  whenThere<T>(work: () => Promise<T>): Promise<T>;
};

/**
 * null: the configuration has none, and this gateway is the only one.
 *
 * @param stop ends waiting for the database
 * @throws SealgateError `cluster.database-away`: a node that does not reach the database can do nothing; `store.unusable`, `store.unavailable`,
 * `cluster.differs`
 */
export async function openCluster(
  { config, log, opened }: Pick<Opening, 'config' | 'log' | 'opened'>,
  stop?: AbortSignal,
): Promise<Cluster | null> {
  if (config.cluster === null) return null;
  const { proof: _, ...installation } = installationFromSecret(config.cluster.secret);
  const agreed = agreedBy(config);
  const place = placeOf(config);
  const name = `The PostgreSQL database ${place.database} on ${place.host}`;
  const patiently: Cluster['whenThere'] = (work) =>
    whenThere(work, { name, setting: 'directory.store', log, stop });
  await patiently(async () => {
    const asItIs = await openSharedAsItIs(place);
    await refuseStranger(asItIs, agreed).finally(() => asItIs.close());
  });
  const store = opened.keep(await openShared(place, clusterTables()));
  await patiently(() => agree(store, agreed));
  const rows = store.snapshots();
  const alike = new AlikeSections(config);
  const said = { name: config.cluster.node ?? machine(), version: version(), alike: () => alike.digests };
  const nodes = opened.keep(new Nodes({ store: rows, ...said, log }));
  await patiently(() => nodes.join());
  return { store, rows, installation, nodes, alike, whenThere: patiently };
}

/**
 * The database that the nodes share, for commands beside them.
 *
 * @throws SealgateError `cluster.differs`, `cluster.tables`, `store.unusable`; `cluster.database-away` (temporary)
 */
export async function openBesideNodes(config: ClusterConfig): Promise<PostgresqlStore> {
  const place = placeOf(config);
  const store = await openSharedAsItIs(place);
  try {
    await requireTables(store, sharedTables(clusterTables()));
    await refuseStranger(store, agreedBy(config));
    return store;
  } catch (error) {
    await store.close();
    if (!(error instanceof SealgateError) || error.duration === 'permanent') throw error;
    const { host, database } = place;
    const reason = error.reason ?? error.publicText;
    throw new SealgateError({
      code: 'cluster.database-away',
      duration: 'temporary',
      publicText: `The PostgreSQL database ${database} on ${host} does not answer (${reason}).`,
      reason,
      cause: error,
    });
  }
}

type ClusterConfig = Pick<Config, 'cluster' | 'directory' | 'hostname'>;

function agreedBy({ cluster, hostname }: ClusterConfig): Agreed {
  if (cluster === null) throw new Error('a cluster that is not configured');
  return { proof: installationFromSecret(cluster.secret).proof, hostname };
}

function placeOf({ directory: { store } }: Pick<Config, 'directory'>): Parameters<typeof openShared>[0] {
  if (store.kind !== 'postgresql') throw new Error('a cluster without a database that is shared');
  return store;
}
