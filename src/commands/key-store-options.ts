import { resolve } from 'node:path';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { type KeyStore, openKeyStore } from '../hsm/key-store/key-store.ts';
import type { SoftwareSource, StoreUnlock } from '../hsm/source-kinds.ts';
import { printable } from '../log/printable.ts';
import { existingPassword } from './command-secret.ts';
import { configuredSources } from './configured-keys.ts';
import { openSealingKey } from './sealing-key.ts';
import { type SecretOptions, secretSource } from './secret-options.ts';

/** Which key store a command is about: a folder, or a source of the configuration. */

export type StoreOptions = SecretOptions & { store?: string; source?: string };

/** null: the options name no key store. @throws SealgateError of the store and of what opens it */
export async function openStore(options: StoreOptions, config: Config | null): Promise<KeyStore | null> {
  if (options.store !== undefined) {
    const folder = resolve(options.store);
    const secret = await existingPassword(secretSource('password', options), folder);
    return await openKeyStore(folder, { secret });
  }
  const place = configuredStore(options, config);
  return place === null ? null : await openConfiguredStore(place);
}

/** As `openStore`, for commands that need one. */
export async function requireStore(options: StoreOptions, config: Config | null): Promise<KeyStore> {
  const store = await openStore(options, config);
  if (store !== null) return store;
  throw new SealgateError({
    code: 'command.store',
    duration: 'permanent',
    publicText:
      'Name the key store with --store FOLDER, or a source of the configuration that is one with --source.',
  });
}

type StorePlace = Extract<SoftwareSource, { kind: 'store' }>;

/** null: no source is named, or it is no key store. @throws SealgateError `command.source` */
export function configuredStore(
  { source }: Pick<StoreOptions, 'source'>,
  config: Config | null,
): StorePlace | null {
  if (source === undefined) return null;
  const found = namedSource(source, config);
  return found.places.find((place) => place.kind === 'store') ?? null;
}

/** @throws SealgateError `command.source` */
export function namedSource(source: string, config: Config | null) {
  const sources = config === null ? [] : configuredSources(config);
  const found = sources.find(({ name }) => name === source);
  if (found !== undefined) return found;
  throw new SealgateError({
    code: 'command.source',
    duration: 'permanent',
    publicText:
      config === null
        ? '--source names a key source of the configuration: name the file with --config.'
        : `The configuration has no key source “${printable(source)}”; it has: ${sources.map(({ name }) => name).join(', ') || 'none'}.`,
  });
}

export async function openConfiguredStore({ folder, unlock }: StorePlace): Promise<KeyStore> {
  return await openWith(folder, unlock);
}

async function openWith(folder: string, unlock: StoreUnlock): Promise<KeyStore> {
  if (!('token' in unlock))
    return await openKeyStore(folder, { secret: await existingPassword(unlock, folder) });
  const { key, close } = await openSealingKey(unlock.token, unlock.label);
  try {
    return await openKeyStore(folder, { key });
  } finally {
    await close();
  }
}
