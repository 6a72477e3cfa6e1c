import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { openQueueStore, QUEUE } from '../store/queue-migrations.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';
import type { Cluster } from './cluster.ts';
import type { Opening } from './opening.ts';

/** Says what was accepted and is nobody's now: the section `queue` was taken out of the configuration. @throws SealgateError `store.unusable` */
export async function tellLeftBehind(
  { config, log }: Pick<Opening, 'config' | 'log'>,
  cluster: Cluster | null = null,
): Promise<void> {
  const store = cluster?.rows ?? (await openIfThere(config.stateFolder));
  if (store === null) return;
  try {
    const [row] = await store.query(sql`SELECT (SELECT count(*) FROM delivery) AS deliveries,
      (SELECT count(*) FROM held_recipient r WHERE NOT EXISTS
        (SELECT 1 FROM held_settled s WHERE s.spool = r.spool AND s.position = r.position)) AS waiting`);
    const [deliveries, waiting] = [Number(row?.deliveries ?? 0), Number(row?.waiting ?? 0)];
    if (deliveries + waiting === 0) return;
    log.write({ event: 'queue.left-behind', level: 'error', deliveries, waiting });
  } finally {
    await store.close();
  }
}

async function openIfThere(stateFolder: string): Promise<SqlStore | null> {
  try {
    await access(join(stateFolder, QUEUE));
  } catch {
    return null;
  }
  return openQueueStore(stateFolder);
}
