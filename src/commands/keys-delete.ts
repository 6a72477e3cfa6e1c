import type { Command } from 'commander';
import { printable } from '../log/printable.ts';
import { requireConfirmation } from './confirmation.ts';
import { openStore, type StoreOptions } from './key-store-options.ts';
import { secretSource, withSecrets } from './secret-options.ts';
import { askToken, namedConfig, type TokenOptions, tokenPlace, withToken } from './token-options.ts';

type DeleteOptions = TokenOptions & StoreOptions & { yes?: true; useLastTry?: true };

/** `sealgate keys delete`: one key, by its exact name, with its certificates. */
export function addKeysDelete(keys: Command): void {
  withSecrets(
    withToken(
      keys
        .command('delete')
        .description('destroy a key and its certificates; mail that is encrypted to it stays closed for ever')
        .argument('<name>', 'the key’s exact name'),
    ),
    ...(['pin', 'password'] as const),
  )
    .option('--store <folder>', 'key store that it is in')
    .option('--yes', 'do not ask')
    .option('--use-last-try', 'use the last try for the PIN')
    .action(remove);
}

async function remove(name: string, options: DeleteOptions): Promise<void> {
  const config = await namedConfig(options);
  const store = await openStore(options, config);
  if (store !== null) {
    try {
      await requireConfirmation(
        `remove the key ${printable(name)} from ${printable(store.folder)}`,
        name,
        options.yes,
      );
      await store.remove(name);
    } finally {
      store.close();
    }
  } else {
    const place = await tokenPlace(options, config);
    await requireConfirmation(`remove the key ${printable(name)} from the token`, name, options.yes);
    await askToken<'delete'>(place, {
      ...{ kind: 'delete', label: name },
      login: { pin: secretSource('pin', options, place.pin), useLastTry: options.useLastTry === true },
    });
  }
  process.stdout.write(`The key ${printable(name)} was removed.\n`);
}
