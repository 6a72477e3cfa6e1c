import type { Command } from 'commander';
import { SealgateError } from '../errors.ts';
import { printable } from '../log/printable.ts';
import { jsonText } from './json-output.ts';
import { type SecretOptions, secretSource, withSecrets } from './secret-options.ts';
import {
  askToken,
  namedConfig,
  type TokenOptions,
  type TokenPlace,
  tokenPlace,
  tokenPlaces,
  withToken,
} from './token-options.ts';
import { slotJson, slotLines } from './token-text.ts';

/** `sealgate token list` and `sealgate token init`: hardware security modules, cards and other PKCS#11 tokens. */
export function addTokenCommands(program: Command): void {
  const token = program.command('token').description('PKCS#11 tokens: hardware security modules, cards');
  withToken(
    token.command('list').description('readers, tokens, what they can do, and certificates that need no PIN'),
  )
    .option('--json', 'as JSON')
    .action(list);
  withSecrets(
    withToken(
      token
        .command('init')
        .description('set up a blank token: its label, the security officer’s PIN and the user’s PIN'),
    ),
    ...(['so-pin', 'new-pin'] as const),
  )
    .requiredOption('--label <label>', 'the token’s new label, 1 to 32 octets')
    .option('--erase', 'a token that is in use already: everything on it is destroyed')
    .option('--use-last-try', 'use the last try for the security officer’s PIN')
    .option('--json', 'as JSON')
    .action(init);
}

type ListOptions = TokenOptions & { json?: true };
type InitOptions = TokenOptions &
  SecretOptions & { label: string; erase?: true; useLastTry?: true; json?: true };

async function list(options: ListOptions): Promise<void> {
  const places = await tokenPlaces(options, await namedConfig(options));
  const modules = distinct(places);
  if (modules.length === 0) throw noModule();
  const found = await Promise.all(modules.map(listOne));
  const failed = found.filter(({ error }) => error !== null);
  const text =
    options.json === true
      ? jsonText(
          found.map(({ place, listing, error }) => ({
            file: place.module,
            error: error?.publicText ?? null,
            module: listing?.module ?? null,
            slots: (listing?.slots ?? []).map(slotJson),
          })),
        )
      : found.flatMap(moduleLines).join('\n');
  process.stdout.write(`${text}\n`);
  const [first] = failed;
  if (first?.error !== undefined && first.error !== null) throw first.error;
}

/** One module that hangs is no reason to hear nothing of the others. */
async function listOne(place: TokenPlace) {
  try {
    const listing = await askToken<'list'>(place, { kind: 'list' });
    return { place, listing, error: null };
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    return { place, listing: null, error };
  }
}

function moduleLines({ place, listing, error }: Awaited<ReturnType<typeof listOne>>): string[] {
  if (listing === null)
    return [`module         ${printable(place.module)}`, `  problem      ${error.publicText}`];
  const { description, version, manufacturer } = listing.module;
  return [
    `module         ${printable(place.module)}`,
    `  is           ${printable([manufacturer, description, version].join(' '))}`,
    ...(listing.slots.length === 0 ? ['  reader       none'] : listing.slots.flatMap(slotLines)),
  ];
}

function distinct(places: readonly TokenPlace[]): TokenPlace[] {
  const modules = new Map<string, TokenPlace>();
  for (const place of places) {
    const { module, environment, initArgs } = place;
    modules.set(JSON.stringify([module, environment, initArgs]), place);
  }
  return [...modules.values()];
}

async function init(options: InitOptions): Promise<void> {
  const place = await tokenPlace(options, await namedConfig(options));
  const { module } = place;
  const { label, serial } = await askToken<'initialise'>(place, {
    kind: 'initialise',
    label: options.label,
    soPin: secretSource('so-pin', options),
    userPin: secretSource('new-pin', options),
    erase: options.erase === true,
    useLastTry: options.useLastTry === true,
  });
  process.stdout.write(
    options.json === true
      ? `${jsonText({ label, serial })}\n`
      : `The token “${printable(label)}” (serial ${printable(serial)}) is ready; generate a key on it with “sealgate keys generate --module ${printable(module)} --token ${printable(JSON.stringify(label))}”.\n`,
  );
}

function noModule(): SealgateError {
  return new SealgateError({
    code: 'command.token',
    duration: 'permanent',
    publicText:
      'No PKCS#11 library that is known here is installed: name that of your card or token with --module, or install OpenSC (“apt-get install opensc”), which knows most cards.',
  });
}
