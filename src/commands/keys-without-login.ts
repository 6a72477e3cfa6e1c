import type { Config } from '../config/load.ts';
import { type KeySources, openKeySources, startKeyClient } from '../hsm/key-sources.ts';
import { restingPlace } from '../hsm/resting-place.ts';
import { silentLog } from '../log/log.ts';
import { keyInventories } from '../store/key-inventories.ts';
import { refusedSecrets } from '../store/refused-secrets.ts';
import type { SqlStore } from '../store/sqlite.ts';

/**
 * The keys of the configuration for commands that use none: of a token that the gateway knows, what it remembers is enough, and no PIN is
 * asked for or sent.
 */
export function keysWithoutLogin(config: Config, store: SqlStore): Promise<KeySources> {
  const clock = () => new Date();
  return openKeySources(config.keys, {
    ...{ log: silentLog, clock, postQuantum: config.smime.postQuantum, awaitRemovable: true },
    remembered: keyInventories(store, clock),
    refusals: refusedSecrets(store, clock),
    startPlace: (place) =>
      place.remembered === null ? startKeyClient(place) : restingPlace(place.remembered),
  });
}
