import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/load.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';
import { openSqlite } from '../store/sqlite.ts';
import { TRAIL, trailMigrations } from '../store/trail-migrations.ts';
import { Forgetting } from '../trail/forgetting.ts';
import { Trail } from '../trail/trail.ts';
import type { Cluster } from './cluster.ts';
import type { Opened } from './opening.ts';

type TrailConfig = { log: Pick<Config['log'], 'traceDays'>; stateFolder: string };
type TrailCluster = { rows: Cluster['rows']; nodes: Pick<Cluster['nodes'], 'name' | 'now'> };

/**
 * The log that keeps the trail of each mail beside its lines; for no days it is the log alone, and what was kept is deleted. So is the file of
 * a gateway that has become a node: nobody would forget it when its days are over.
 *
 * @throws SealgateError `store.unusable`
 */
export async function openTrail(
  { config, clock, opened }: { config: TrailConfig; clock: Clock; opened: Opened },
  log: Log,
  cluster: TrailCluster | null,
): Promise<Log> {
  const { traceDays: days } = config.log;
  const file = join(config.stateFolder, TRAIL);
  if (cluster !== null || days === 0) {
    await Promise.all(['', '-wal', '-shm'].map((part) => rm(`${file}${part}`, { force: true })));
  }
  if (cluster !== null) {
    // Steps of one mail are said by several nodes.
    const shared = { store: cluster.rows, days, clock: () => cluster.nodes.now() };
    if (days > 0) return opened.keep(new Trail({ ...shared, node: cluster.nodes.name, log }));
    opened.keep(new Forgetting(shared));
    return log;
  }
  if (days === 0) return log;
  const store = opened.keep(await openSqlite(file, trailMigrations, 'takes-the-last'));
  return opened.keep(new Trail({ store, days, clock, log }));
}
