import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PinSource, SecretSource, SoftwareSource, TokenSource } from '../source-kinds.ts';
import { CONTROL_PIPE, KEY_PROCESS, pipeOf } from '../wire/pipes.ts';
import { moduleEnvironment, pickedFrom } from './module-environment.ts';
import { tokenOf } from './place-name.ts';

/** Starting and ending the child process itself; what it is told is in key-client.ts. */

/** What the key process of one place gets: what that place's secret needs in addition, and what the configuration says. */
export function environmentOf(
  place: TokenSource | SoftwareSource,
  gateway: NodeJS.ProcessEnv,
): Record<string, string> {
  const secrets = secretsOf(place);
  const names = secrets.flatMap((source) => ('env' in source ? [source.env] : []));
  const asks = secrets.some((source) => 'ask' in source);
  const token = tokenOf(place);
  return { ...moduleEnvironment(gateway, asks), ...pickedFrom(gateway, names), ...token?.environment };
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

/** The file that a key process runs. */
export const keyProcessProgram = new URL(
  import.meta.url.replace(/client\/start-key-process(\.[jt]s)$/, 'process/key-process$1'),
);

const SHELL = '/bin/sh';

/**
 * A key process. Nothing secret is in its arguments, and in its environment nothing but the one variable that the configuration names.
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
  return startWithPipes(program, [KEY_PROCESS, kind], environment, pipeOf(sessions) - CONTROL_PIPE);
}

/**
 * A process that has a module or keys in it. Core dumps are off in it: a shell sets the limit and becomes the process.
 *
 * @param pipes how many, from CONTROL_PIPE on
 */
export function startWithPipes(
  program: URL,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  pipes: number,
): ChildProcess {
  const command = [process.execPath, fileURLToPath(program), ...args];
  const [file = SHELL, ...rest] = existsSync(SHELL)
    ? [SHELL, '-c', 'ulimit -c 0; exec "$0" "$@"', ...command]
    : command;
  return spawn(file, rest, {
    env: { ...environment },
    // A module's own output may hold anything; it goes nowhere. A terminal is reached by its own device where a PIN is asked for.
    stdio: ['ignore', 'ignore', 'ignore', ...Array.from({ length: pipes }, pipe)],
  });
}

function pipe(): 'pipe' {
  return 'pipe';
}
