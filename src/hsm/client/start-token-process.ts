import { type ChildProcess, fork } from 'node:child_process';
import { KEY_PROCESS, type ToKeyProcess } from '../token-messages.ts';

/** Starting and ending the child process itself; what it is told is in key-client.ts. */

/**
 * Passed on to the module: locale, home, and the variables by which widespread modules find their configuration.
 * Everything else of the gateway's environment, secrets above all, stays out of the key process.
 */
const INHERITED = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'XDG_CACHE_HOME',
  'SOFTHSM2_CONF',
  'OPENSC_CONF',
  'TPM2_PKCS11_STORE',
];

/** What a key process gets of the gateway's environment. */
export function inheritedEnvironment(gateway: NodeJS.ProcessEnv): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = gateway[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}

/** The file that a key process runs. */
export const keyProcessProgram = new URL(
  import.meta.url.replace(/client\/start-token-process(\.[jt]s)$/, 'process/token-process$1'),
);

/** Nothing secret is in its arguments or its environment: everybody on the machine may read the former. */
export function startKeyProcess(program: URL, environment: Readonly<Record<string, string>>): ChildProcess {
  return fork(program, [KEY_PROCESS], {
    serialization: 'advanced',
    execArgv: [],
    env: { ...environment },
    // A module's own output may hold anything; it goes nowhere.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
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
