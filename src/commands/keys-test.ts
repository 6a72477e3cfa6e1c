import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import type { SoftwareSource, TokenSource } from '../hsm/source-kinds.ts';
import { printable } from '../log/printable.ts';
import { configuredSources } from './configured-keys.ts';
import { jsonText } from './json-output.ts';
import { openPlace, placeProblem } from './key-places.ts';
import { namedSource } from './key-store-options.ts';
import { type KeyTrial, trialsOf } from './key-trials.ts';
import { tellProgress } from './progress.ts';
import { configPath, readConfig } from './read-config.ts';
import { type SecretOptions, secretSource, withSecrets } from './secret-options.ts';
import { namedConfig, type TokenOptions, tokenPlace, withToken } from './token-options.ts';

type TestOptions = TokenOptions & SecretOptions & { store?: string; seconds: string; json?: true };

type PlaceTrials = { source: string; problem: string | null; keys: { name: string; trials: KeyTrial[] }[] };

/** `sealgate keys test`: every way that each key offers, tried against its certificate, with times. */
export function addKeysTest(keys: Command): void {
  withSecrets(
    withToken(
      keys
        .command('test')
        .description(
          'sign and verify, encrypt and decrypt with every way that each key offers; times and rate; exit code 1 if one fails',
        )
        .argument('[name]', 'one key: its name; default: all'),
    ),
    ...(['pin', 'password'] as const),
  )
    .option('--store <folder>', 'key store')
    .option('--seconds <number>', 'how long the rate of each way is measured', '1')
    .option('--json', 'as JSON')
    .action(test);
}

async function test(name: string | undefined, options: TestOptions): Promise<void> {
  const seconds = Number(options.seconds);
  if (!(seconds >= 0 && seconds <= 600)) throw wrongSeconds(options.seconds);
  const config = await configFor(options);
  const found: PlaceTrials[] = [];
  for (const { source, place } of await placesOf(options, config)) {
    found.push(await testPlace(source, place, name ?? null, seconds));
  }
  const all = found.flatMap(({ keys }) => keys);
  const text = options.json === true ? jsonText(found) : found.flatMap(placeLines).join('\n');
  process.stdout.write(`${text}\n`);
  if (name !== undefined && all.length === 0 && found.every(({ problem }) => problem === null)) {
    throw noSuchKey(name);
  }
  const failed = all.some(
    ({ trials }) => trials.length === 0 || trials.some(({ outcome }) => outcome !== 'good'),
  );
  if (failed || found.some(({ problem }) => problem !== null)) process.exitCode = 1;
}

/** The usual one where nothing else says which keys are meant. */
async function configFor(options: TestOptions): Promise<Config | null> {
  const elsewhere = [options.store, options.module, options.token].some((one) => one !== undefined);
  return elsewhere ? await namedConfig(options) : await readConfig(configPath(options.config));
}

type Named = { source: string; place: TokenSource | SoftwareSource };

async function placesOf(options: TestOptions, config: Config | null): Promise<Named[]> {
  if (options.store !== undefined) {
    const password = secretSource('password', options);
    if ('ask' in password) throw notTyped();
    return [{ source: 'store', place: { kind: 'store', folder: options.store, unlock: password } }];
  }
  if (options.module !== undefined || options.token !== undefined || config === null) {
    const { module, environment, initArgs, token, pin } = await tokenPlace(options, config);
    const place: TokenSource = {
      ...{ kind: 'token', module, environment, token, removable: false, sessions: 4, certificates: [] },
      ...(initArgs === undefined ? {} : { initArgs }),
      objects: { object: null, id: null },
      pin: secretSource('pin', options, pin),
    };
    return [{ source: 'token', place }];
  }
  const sources =
    options.source === undefined ? configuredSources(config) : [namedSource(options.source, config)];
  return sources.flatMap(({ name, places }) => places.map((place) => ({ source: name, place })));
}

async function testPlace(
  source: string,
  spec: TokenSource | SoftwareSource,
  wanted: string | null,
  seconds: number,
): Promise<PlaceTrials> {
  const place = await openPlace(source, spec);
  try {
    const problem = placeProblem(place);
    const { state } = place;
    if (problem !== null || (state.kind !== 'open' && state.kind !== 'locked')) {
      return { source, problem: problem?.publicText ?? 'It is not open.', keys: [] };
    }
    const keys: PlaceTrials['keys'] = [];
    for (const key of state.inventory.keys) {
      const name = key.label === '' ? key.id : key.label;
      if (wanted !== null && wanted !== name && wanted !== `${source}/${name}` && wanted !== source) continue;
      tellProgress(`testing ${printable(`${source}/${name}`)}`);
      const parallel = spec.kind === 'token' ? spec.sessions * 2 : 8;
      keys.push({ name, trials: await trialsOf(place, key, { seconds, parallel }) });
    }
    return { source, problem: null, keys };
  } finally {
    await place.close();
  }
}

function placeLines({ source, problem, keys }: PlaceTrials): string[] {
  if (problem !== null) return [`${printable(source)}: ${printable(problem)}`];
  return keys.flatMap(({ name, trials }) => [
    printable(`${source}/${name}`),
    ...(trials.length === 0 ? ['  this key neither signs nor opens mail'] : []),
    ...trials.map(({ way, outcome, reason, milliseconds, perSecond }) => {
      const rate = perSecond === null ? '' : `, ${perSecond.toFixed(1)} a second`;
      return outcome === 'good'
        ? `  ${way.padEnd(26)}good    ${(milliseconds ?? 0).toFixed(1)} ms${rate}`
        : `  ${way.padEnd(26)}FAILED  ${printable(reason ?? '')}`;
    }),
  ]);
}

function wrongSeconds(text: string): SealgateError {
  return new SealgateError({
    code: 'command.seconds',
    duration: 'permanent',
    publicText: `--seconds takes a number up to 600; “${printable(text)}” is none.`,
  });
}

function noSuchKey(name: string): SealgateError {
  return new SealgateError({
    code: 'key.absent',
    duration: 'permanent',
    publicText: `There is no key with the name “${printable(name)}”; “sealgate keys list” shows the names.`,
  });
}

function notTyped(): SealgateError {
  return new SealgateError({
    code: 'command.pin-source',
    duration: 'permanent',
    publicText:
      'The password of a key store is not asked for here: name a file with --password-file, or set SEALGATE_PASSWORD.',
  });
}
