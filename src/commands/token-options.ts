import { access } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { manageToken } from '../hsm/client/token-management.ts';
import type { AnswerTo, ManagementRequest } from '../hsm/management-messages.ts';
import { parsePkcs11Uri } from '../hsm/pkcs11-uri.ts';
import type { PinSource, TokenSelector } from '../hsm/source-kinds.ts';
import { printable } from '../log/printable.ts';
import { configuredTokens } from './configured-keys.ts';
import { howToInstall, installedModules } from './known-modules.ts';
import { tellProgress } from './progress.ts';
import { configInEnvironment, readConfig } from './read-config.ts';
import { refuseSecrets } from './secret-options.ts';

/** Which module and which token a command is about: from the command line, else from the configuration. */

export type TokenOptions = {
  module?: string;
  token?: string;
  source?: string;
  config?: string;
  timeout?: string;
};

export type TokenPlace = {
  /** Absolute path of the PKCS#11 library. */
  module: string;
  environment: Readonly<Record<string, string>>;
  initArgs?: string | undefined;
  token: TokenSelector;
  /** Where the configuration says that the PIN is; null: it says nothing of this token. */
  pin: PinSource | null;
  /** Milliseconds that the module may be silent; absent: by what it is asked. */
  timeout?: number;
};

export const ANY_TOKEN: TokenSelector = {
  ...{ label: null, serial: null, model: null },
  ...{ manufacturer: null, reader: null },
};

export function withToken(command: Command): Command {
  return refuseSecrets(command)
    .option('--module <file>', 'PKCS#11 library of the vendor')
    .option('--token <token>', 'which token: its label, or a pkcs11: URI')
    .option('--source <name>', 'key source of the configuration whose token is meant')
    .option('--timeout <seconds>', 'how long the library may be silent before it is given up')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)');
}

/** Only one that was named: these commands do without. */
export async function namedConfig({ config }: Pick<TokenOptions, 'config'>): Promise<Config | null> {
  const file = config ?? configInEnvironment();
  return file === null ? null : await readConfig(file);
}

/**
 * One module and one token.
 *
 * @throws SealgateError `command.token`: nothing says which; `key.module-absent`, `key.uri-malformed`
 */
export async function tokenPlace(options: TokenOptions, config: Config | null): Promise<TokenPlace> {
  const { module, selector } = named(options);
  const configured = configuredPlaces(options, config).filter(
    (place) => module === null || place.module === module,
  );
  const [only, second] = configured;
  const place = second === undefined && only !== undefined ? only : module === null ? null : bare(module);
  if (place === null) throw undecided(configured);
  await requireModule(place.module);
  return { ...place, token: selector ?? place.token, ...timeoutOf(options) };
}

/**
 * All that are meant: one that is named; else those of the configuration; else the libraries that are installed.
 *
 * @throws SealgateError `command.token`, `key.module-absent`, `key.uri-malformed`
 */
export async function tokenPlaces(options: TokenOptions, config: Config | null): Promise<TokenPlace[]> {
  const { module, selector } = named(options);
  const configured = configuredPlaces(options, config).filter(
    (place) => module === null || place.module === module,
  );
  const places =
    configured.length > 0 ? configured : module === null ? installedModules().map(bare) : [bare(module)];
  for (const place of places) await requireModule(place.module);
  const timeout = timeoutOf(options);
  return places.map((place) => ({ ...place, token: selector ?? place.token, ...timeout }));
}

/** One request to the module, in a process of its own, with its progress on standard error. */
export async function askToken<K extends ManagementRequest['kind']>(
  { module, environment, initArgs, token, timeout }: TokenPlace,
  request: Extract<ManagementRequest, { kind: K }>,
): Promise<AnswerTo<K>> {
  return await manageToken<K>({
    ...{ module, environment, initArgs, token, request, progress: tellProgress },
    ...(timeout === undefined ? {} : { timeout }),
  });
}

function timeoutOf({ timeout }: TokenOptions): { timeout?: number } {
  if (timeout === undefined) return {};
  const seconds = Number(timeout);
  if (seconds > 0 && seconds <= 3_600) return { timeout: seconds * 1000 };
  throw new SealgateError({
    code: 'command.timeout',
    duration: 'permanent',
    publicText: `--timeout takes a number of seconds, up to 3600; “${printable(timeout)}” is none.`,
  });
}

function bare(module: string): TokenPlace {
  return { module, environment: {}, token: ANY_TOKEN, pin: null };
}

function configuredPlaces({ source }: TokenOptions, config: Config | null): TokenPlace[] {
  const all = config === null ? [] : configuredTokens(config);
  if (source === undefined) return all.map(({ place }) => place);
  const found = all.filter(({ name }) => name === source);
  if (found.length > 0) return found.map(({ place }) => place);
  const names = all.map(({ name }) => name).join(', ');
  throw new SealgateError({
    code: 'command.token',
    duration: 'permanent',
    publicText:
      config === null
        ? '--source names a key source of the configuration: name the file with --config.'
        : `No key source “${printable(source)}” of the configuration is on a token; ${names === '' ? 'none is' : `those are: ${names}`}.`,
  });
}

function named({ module, token }: TokenOptions): { module: string | null; selector: TokenSelector | null } {
  const path = module === undefined ? null : resolve(module);
  if (token === undefined) return { module: path, selector: null };
  if (!/^pkcs11:/i.test(token)) return { module: path, selector: { ...ANY_TOKEN, label: token } };
  const uri = parsePkcs11Uri(token);
  const { serial, model, manufacturer } = uri;
  return {
    module: path ?? uri.modulePath,
    selector: { label: uri.token, serial, model, manufacturer, reader: uri.slotDescription },
  };
}

function undecided(configured: readonly TokenPlace[]): SealgateError {
  return new SealgateError({
    code: 'command.token',
    duration: 'permanent',
    publicText:
      configured.length === 0
        ? 'Name the PKCS#11 library with --module (“sealgate token list” shows those that are installed and their tokens), or a configuration with --config.'
        : 'The configuration has several tokens; name the one that is meant with --source.',
  });
}

/** @throws SealgateError `key.module-absent` */
async function requireModule(path: string): Promise<void> {
  try {
    await access(path);
  } catch (cause) {
    const next =
      howToInstall(path) ?? 'install the software of the card or token’s vendor, or correct --module';
    throw new SealgateError({
      code: 'key.module-absent',
      duration: 'permanent',
      publicText: `The PKCS#11 library ${printable(path)} is not there: ${next}.`,
      cause,
    });
  }
}
