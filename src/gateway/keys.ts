import { type KeySources, openKeySources } from '../hsm/key-sources.ts';
import { createKeyring } from '../hsm/keyring.ts';
import type { Keyring } from '../pipeline/ports.ts';
import { keyInventories } from '../store/key-inventories.ts';
import { refusedSecrets } from '../store/refused-secrets.ts';
import type { SqlStore } from '../store/sql-store.ts';
import type { Opening } from './opening.ts';

export type Keys = { sources: KeySources; keyring: Keyring };

/**
 * The key processes, and whose keys are whose.
 *
 * @param stop ends a start that waits for keys, with an error
 */
export async function openKeys(
  { config, log, clock, opened }: Opening,
  store: SqlStore,
  stop: AbortSignal | undefined,
): Promise<Keys> {
  const sources = opened.keep(
    await openKeySources(config.keys, {
      ...{ log, clock, postQuantum: config.smime.postQuantum },
      remembered: keyInventories(store, clock),
      refusals: refusedSecrets(store, clock),
      ...(stop === undefined ? {} : { signal: stop }),
    }),
  );
  const { list: principals, loginIsAddress } = config.principals;
  return { sources, keyring: createKeyring({ principals, loginIsAddress, keys: sources, log, clock }) };
}
