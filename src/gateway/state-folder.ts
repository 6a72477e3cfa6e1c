import { mkdir } from 'node:fs/promises';
import type { Config } from '../config/load.ts';
import { holdAlone } from '../store/sole-holder.ts';
import type { Opened } from './opening.ts';

/**
 * Nobody else runs on the state folder of a gateway that keeps a queue in it. Asked before anything is opened: one that must not run here
 * uses no PIN, and brings no tables up to date beneath the one that does. Nodes of a cluster keep theirs in the database.
 *
 * @throws SealgateError `queue.in-use`, `store.unusable`
 */
export async function holdStateFolder({
  config: { stateFolder, queue, cluster },
  opened,
}: {
  config: Config;
  opened: Opened;
}): Promise<void> {
  if (queue === null || cluster !== null) return;
  await mkdir(stateFolder, { recursive: true, mode: 0o700 }).catch(() => undefined);
  opened.keep(holdAlone(stateFolder));
}
