import { resolve } from 'node:path';
import type { Command } from 'commander';
import { createKeyStore } from '../hsm/key-store/key-store.ts';
import { printable } from '../log/printable.ts';
import { newPassword } from './command-secret.ts';
import { openSealingKey } from './sealing-key.ts';
import { type SecretOptions, secretSource, withSecrets } from './secret-options.ts';
import { namedConfig, type TokenOptions, tokenPlace, withToken } from './token-options.ts';

type CreateOptions = TokenOptions & SecretOptions & { seal?: true; label?: string };

/** `sealgate keys create-store`: a folder for private keys, encrypted at rest. */
export function addKeysCreateStore(keys: Command): void {
  withSecrets(
    withToken(
      keys
        .command('create-store')
        .description('a folder for private keys, encrypted with a password or for a key on a token')
        .argument('<folder>', 'new or empty folder'),
    ),
    ...(['new-password', 'pin'] as const),
  )
    .option('--seal', 'a key on the token opens the store, rather than a password')
    .option('--label <label>', 'which key on the token, where there are several')
    .action(create);
}

async function create(folder: string, options: CreateOptions): Promise<void> {
  const path = resolve(folder);
  if (options.seal === true) {
    const place = await tokenPlace(options, await namedConfig(options));
    const { module, environment, initArgs, token, pin } = place;
    const { key, close } = await openSealingKey(
      {
        ...{ kind: 'token', module, environment, token, removable: false, sessions: 1, certificates: [] },
        ...(initArgs === undefined ? {} : { initArgs }),
        objects: { object: null, id: null },
        pin: secretSource('pin', options, pin),
      },
      options.label ?? null,
    );
    try {
      (await createKeyStore(path, { key })).close();
    } finally {
      await close();
    }
  } else {
    const secret = await newPassword(secretSource('new-password', options), path);
    (await createKeyStore(path, { secret })).close();
  }
  process.stdout.write(
    `The key store ${printable(path)} is ready; fill it with “sealgate keys generate --store” or “sealgate keys import --store”.\n`,
  );
}
