import { readFile } from 'node:fs/promises';
import { refuseShortcomings } from '../cluster/redis-durability.ts';
import type { RedisPlace } from '../cluster/redis-place.ts';
import { SealedRows } from '../cluster/sealed-rows.ts';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import type { Clock } from '../pipeline/ports.ts';
import { sweepOrphans } from '../queue/orphans.ts';
import { type OwnIdentity, OwnKey } from '../queue/own-key.ts';
import { OwnWork } from '../queue/own-work.ts';
import type { DueWork, SealedSpool } from '../queue/ports.ts';
import { SpoolFolder } from '../queue/spool-folder.ts';
import { groupedTransactions } from '../store/grouped-transactions.ts';
import type { Installation } from '../store/installation.ts';
import { openQueueStore } from '../store/queue-migrations.ts';
import type { SqlStore } from '../store/sql-store.ts';
import type { Cluster } from './cluster.ts';
import type { Opening } from './opening.ts';

/** What the queue rests on: of one gateway in its state folder, of several in what they share. */
export type QueueState = {
  store: SqlStore;
  spool: SealedSpool;
  work: DueWork;
  /** Nobody else delivers from these rows. */
  alone: boolean;
  clock: Clock;
  /** In the claims of this run; null: any will do. */
  holder: string | null;
  /** Removes sealed mail that no row names, and says so. @throws SealgateError `store.unavailable`, `cluster.database-away` */
  sweep(): Promise<void>;
};

/** Of a cluster, how often all rows are looked at, whatever Redis says. */
const SWEEP_MS = 10_000;

/** Of a gateway alone once its state folder is held. @throws SealgateError `store.unusable`, `queue.spool`, `cluster.redis-forgets`, `cluster.redis-ca` */
export function openQueueState(
  opening: Opening,
  cluster: Cluster | null,
  identity: OwnIdentity,
): Promise<QueueState> {
  return cluster === null ? alone(opening, identity) : together(opening, cluster, identity);
}

async function alone(
  { config: { stateFolder }, clock, log, opened }: Opening,
  identity: OwnIdentity,
): Promise<QueueState> {
  const store = opened.keep(groupedTransactions(await openQueueStore(stateFolder)));
  const spool = await SpoolFolder.open(stateFolder, new OwnKey(identity));
  return {
    ...{ store, spool, work: new OwnWork(), alone: true, clock, holder: null },
    async sweep() {
      const { removed, orphans } = await sweepOrphans(store, spool, clock());
      if (removed > 0) log.write({ event: 'queue.swept', level: 'info', files: removed });
      if (orphans > 0) log.write({ event: 'queue.orphans', level: 'warn', files: orphans });
    },
  };
}

async function together(
  { config, log, opened }: Opening,
  cluster: Cluster,
  identity: OwnIdentity,
): Promise<QueueState> {
  const redis = config.cluster?.redis ?? null;
  if (redis === null) throw new Error('a queue of a cluster without Redis');
  // Its driver is loaded where it is used.
  const { DueJobs } = await import('../cluster/due-jobs.ts');
  const { nodes } = cluster;
  const clock = () => nodes.now();
  const place = await redisPlace(redis, cluster.installation);
  const work = new DueJobs({ place, sweepMs: SWEEP_MS, clock, log });
  opened.keep({ close: () => work.stop() });
  const found = await work.open();
  if (redis.acceptLosses) {
    for (const reason of found ?? []) log.write({ event: 'cluster.redis-forgets', level: 'error', reason });
  } else refuseShortcomings(found ?? [], `${redis.host}:${redis.port}`);
  const { keyring, principal, address } = identity;
  await nodes.tellOfQueue({
    keys: () => keyring.ownCertificates(principal, address).map(({ certificate }) => certificate.fingerprint),
    redis: () => work.state.kind,
  });
  const spool = new SealedRows(cluster.rows, new OwnKey(identity));
  return {
    ...{ store: cluster.rows, spool, work, alone: false, clock, holder: nodes.run },
    async sweep() {
      const removed = await cluster.whenThere(() => spool.sweep());
      if (removed > 0) log.write({ event: 'queue.swept', level: 'info', files: removed });
    },
  };
}

/**
 * As the configuration has it. Names there are of this cluster alone: another one with the same Redis, and no prefix of its own, would take the
 * orders and do nothing.
 *
 * @throws SealgateError `cluster.redis-ca` (permanent)
 */
export async function redisPlace(
  settings: NonNullable<NonNullable<Config['cluster']>['redis']>,
  { id }: Pick<Installation, 'id'>,
): Promise<RedisPlace> {
  const { host, port, tls, ca, serverName, user, password, db, prefix } = settings;
  return {
    ...{ host, port, user, password, db, prefix: `${prefix}:${id}` },
    tls: tls === 'none' ? null : { ca: ca === null ? null : await authorities(ca), serverName },
  };
}

async function authorities(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new SealgateError({
      code: 'cluster.redis-ca',
      duration: 'permanent',
      publicText: `The file ${file} (cluster.redis.ca) cannot be read.`,
      cause,
    });
  }
}
