import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PINENTRY_ENVIRONMENT } from '../pinentry-environment.ts';
import type { PinSource, SecretSource, SoftwareSource, TokenSource } from '../source-kinds.ts';
import { CONTROL_PIPE, KEY_PROCESS, pipeOf } from '../wire/pipes.ts';
import { tokenOf } from './place-name.ts';

/** Starting and ending the child process itself; what it is told is in key-client.ts. */

/**
 * Passed on to the module: locale, home, and the variables by which widespread modules find their configuration.
 * Everything else of the gateway's environment, secrets above all, stays out of the key process.
 */
const INHERITED: readonly string[] = [
  'PATH',
  'HOME',
  'LANG',
  'TZ',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'XDG_CACHE_HOME',
  'SOFTHSM2_CONF',
  'OPENSC_CONF',
  'TPM2_PKCS11_STORE',
  'TPM2_PKCS11_TCTI',
  'TPM2TOOLS_TCTI',
  'PCSCLITE_CSOCK_NAME',
];

function inheritedEnvironment(gateway: NodeJS.ProcessEnv): Record<string, string> {
  const locale = Object.keys(gateway).filter((name) => name.startsWith('LC_'));
  return picked(gateway, [...INHERITED, ...locale]);
}

/** What the key process of one place gets: what that place's secret needs in addition, and what the configuration says. */
export function environmentOf(
  place: TokenSource | SoftwareSource,
  gateway: NodeJS.ProcessEnv,
): Record<string, string> {
  const secrets = secretsOf(place);
  const names = secrets.flatMap((source) => ('env' in source ? [source.env] : []));
  if (secrets.some((source) => 'ask' in source)) names.push(...PINENTRY_ENVIRONMENT);
  const token = tokenOf(place);
  return { ...inheritedEnvironment(gateway), ...picked(gateway, names), ...token?.environment };
}

function secretsOf(place: TokenSource | SoftwareSource): readonly (PinSource | SecretSource)[] {
  switch (place.kind) {
    case 'token':
      return [place.pin];
    case 'pkcs12':
      return place.password === null ? [] : [place.password];
    case 'pem':
      return place.passphrase === null ? [] : [place.passphrase];
    case 'store':
      return 'token' in place.unlock ? [place.unlock.token.pin] : [place.unlock];
  }
}

function picked(from: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of names) {
    const value = from[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}

/** The file that a key process runs. */
export const keyProcessProgram = new URL(
  import.meta.url.replace(/client\/start-key-process(\.[jt]s)$/, 'process/key-process$1'),
);

const SHELL = '/bin/sh';

/**
 * Nothing secret is in its arguments, and in its environment nothing but the one variable that the configuration names.
 *
 * Core dumps are off in it: a shell sets the limit and becomes the process.
 *
 * @param kind what it will be told to open: it starts the right threads while it waits for that
 * @param sessions how many pipes, besides the one for control messages; `child.stdio` has the gateway's ends (wire/pipes.ts)
 */
export function startKeyProcess(
  program: URL,
  environment: Readonly<Record<string, string>>,
  kind: 'token' | 'software',
  sessions: number,
): ChildProcess {
  const command = [process.execPath, fileURLToPath(program), KEY_PROCESS, kind];
  const [file = SHELL, ...args] = existsSync(SHELL)
    ? [SHELL, '-c', 'ulimit -c 0; exec "$0" "$@"', ...command]
    : command;
  return spawn(file, args, {
    env: { ...environment },
    // A module's own output may hold anything; it goes nowhere.
    stdio: ['ignore', 'ignore', 'ignore', ...Array.from({ length: pipeOf(sessions) - CONTROL_PIPE }, pipe)],
  });
}

function pipe(): 'pipe' {
  return 'pipe';
}
