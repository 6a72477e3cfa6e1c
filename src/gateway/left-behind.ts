import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/load.ts';
import type { Log } from '../log/log.ts';
import { openQueueStore, QUEUE } from '../store/queue-migrations.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';
import type { Cluster } from './cluster.ts';

/**
 * Says what was accepted and is nobody's now: the section `queue` was taken out of the configuration, or the gateway has become a node, whose
 * queue is where all nodes have it.
 *
 * @throws SealgateError `store.unusable`; `cluster.database-away`
 */
export async function tellLeftBehind(
  { config, log }: { config: Pick<Config, 'queue' | 'stateFolder'>; log: Log },
  cluster: Pick<Cluster, 'rows' | 'whenThere'> | null = null,
): Promise<void> {
  const tell = (place: string, { deliveries, waiting }: LeftBehind) => {
    if (deliveries + waiting === 0) return;
    log.write({ event: 'queue.left-behind', level: 'error', place, deliveries, waiting });
  };
  if (cluster !== null && config.queue === null) {
    tell('PostgreSQL', await cluster.whenThere(() => leftIn(cluster.rows)));
  }
  if (cluster === null && config.queue !== null) return;
  const own = await openIfThere(config.stateFolder);
  if (own === null) return;
  try {
    tell(config.stateFolder, await leftIn(own));
  } finally {
    await own.close();
  }
}

type LeftBehind = { deliveries: number; waiting: number };

async function leftIn(store: SqlStore): Promise<LeftBehind> {
  const [row] = await store.query(sql`SELECT (SELECT count(*) FROM delivery) AS deliveries,
    (SELECT count(*) FROM held_recipient r WHERE NOT EXISTS
      (SELECT 1 FROM held_settled s WHERE s.spool = r.spool AND s.position = r.position)) AS waiting`);
  return { deliveries: Number(row?.deliveries ?? 0), waiting: Number(row?.waiting ?? 0) };
}

async function openIfThere(stateFolder: string): Promise<SqlStore | null> {
  try {
    await access(join(stateFolder, QUEUE));
  } catch {
    return null;
  }
  return openQueueStore(stateFolder);
}
