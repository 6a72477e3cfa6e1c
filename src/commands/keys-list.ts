import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { configuredSources } from './configured-keys.ts';
import { jsonText } from './json-output.ts';
import { namedSource, openStore, type StoreOptions } from './key-store-options.ts';
import { type ListedSource, listSource, sourceJson, sourceLines } from './listed-keys.ts';
import { listStore } from './listed-store.ts';
import { configPath, readConfig } from './read-config.ts';
import { withSecrets } from './secret-options.ts';

type ListOptions = StoreOptions & { config?: string; json?: true };

/** `sealgate keys list`: every key of the configuration or of a key store. No PIN leaves for it. */
export function addKeysList(keys: Command): void {
  withSecrets(
    keys
      .command('list')
      .description(
        'sources and keys of the configuration: names, addresses, certificates, what each key does, and what is wrong; exit code 1 if something is. Sends no PIN',
      ),
    'password',
  )
    .option('--store <folder>', 'the keys of a key store instead')
    .option('--source <name>', 'one source of the configuration only')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .action(list);
}

async function list(options: ListOptions): Promise<void> {
  const at = new Date();
  const found = options.store === undefined ? await fromConfig(options, at) : [await fromStore(options, at)];
  const text =
    options.json === true ? jsonText(found.map(sourceJson)) : found.flatMap(sourceLines).join('\n');
  process.stdout.write(`${text === '' ? 'The configuration names no keys.' : text}\n`);
  const wrong = found.some(({ problems, keys }) =>
    [...problems, ...keys.flatMap((key) => key.problems)].some(({ severity }) => severity === 'fault'),
  );
  if (wrong) process.exitCode = 1;
}

async function fromConfig(options: ListOptions, at: Date): Promise<ListedSource[]> {
  const config: Config = await readConfig(configPath(options.config));
  const sources =
    options.source === undefined ? configuredSources(config) : [namedSource(options.source, config)];
  const found: ListedSource[] = [];
  for (const source of sources) found.push(await listSource(source, config, at));
  return found;
}

async function fromStore(options: ListOptions, at: Date): Promise<ListedSource> {
  const store = await openStore(options, null);
  if (store === null) throw new Error('a store was named');
  try {
    return await listStore(store, { name: store.folder, config: null, at });
  } finally {
    store.close();
  }
}
