import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { KEY_PROCESS, type ToKeyProcess } from '../messages.ts';
import type { PinSource, SecretSource, SoftwareSource, TokenSource } from '../source-kinds.ts';

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
  'PCSCLITE_CSOCK_NAME',
];

/** Where the person is who is asked for a PIN. */
const FOR_PEOPLE: readonly string[] = [
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'DBUS_SESSION_BUS_ADDRESS',
  'GPG_TTY',
  'TERM',
];

/** What every key process gets of the gateway's environment. */
export function inheritedEnvironment(gateway: NodeJS.ProcessEnv): Record<string, string> {
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
  if (secrets.some((source) => 'ask' in source)) names.push(...FOR_PEOPLE);
  const token = tokenOf(place);
  return { ...inheritedEnvironment(gateway), ...picked(gateway, names), ...token?.environment };
}

function secretsOf(place: TokenSource | SoftwareSource): readonly (PinSource | SecretSource)[] {
  switch (place.kind) {
    case 'token':
      return [place.pin];
    case 'pkcs12':
      return [place.password];
    case 'pem':
      return place.passphrase === null ? [] : [place.passphrase];
    case 'store':
      return 'token' in place.unlock ? [place.unlock.token.pin] : [place.unlock];
  }
}

function tokenOf(place: TokenSource | SoftwareSource): TokenSource | null {
  if (place.kind === 'token') return place;
  return place.kind === 'store' && 'token' in place.unlock ? place.unlock.token : null;
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

/** File descriptor of the first session's pipe in the key process: after stdin, stdout, stderr and the channel. */
const FIRST_PIPE = 4;
const SHELL = '/bin/sh';

/**
 * Nothing secret is in its arguments or its environment but the one variable that the configuration names.
 *
 * Core dumps are off in it: a shell sets the limit and becomes the process.
 *
 * @param sessions pipes, from file descriptor 4 on; `child.stdio` has the gateway's ends at the same places
 */
export function startKeyProcess(
  program: URL,
  environment: Readonly<Record<string, string>>,
  sessions: number,
): ChildProcess {
  const limited = existsSync(SHELL)
    ? { execPath: SHELL, execArgv: ['-c', 'ulimit -c 0; exec "$0" "$@"', process.execPath] }
    : { execArgv: [] };
  return fork(program, [KEY_PROCESS], {
    ...limited,
    serialization: 'advanced',
    env: { ...environment },
    // A module's own output may hold anything; it goes nowhere.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc', ...Array.from({ length: sessions }, () => 'pipe' as const)],
  });
}

/** The number of a session's pipe, in `child.stdio` and as a file descriptor of the key process. */
export function pipeNumber(session: number): number {
  return FIRST_PIPE + session;
}

/** Never throws; a channel that is closing loses the message. */
export function post(child: ChildProcess, message: ToKeyProcess): void {
  // A closed channel shows as the end of the process, which fails the requests.
  if (child.connected) child.send(message, () => undefined);
}

/** Waits for the end of a process. @param grace milliseconds until it is killed */
export async function endChild(child: ChildProcess, grace: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), grace);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
