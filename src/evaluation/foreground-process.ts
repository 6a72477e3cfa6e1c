import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { findProgram } from './debian-packages.ts';

/**
 * A server started in the foreground, in a process group of its own.
 *
 * The group keeps Ctrl-C at the terminal away from the server (whoever started it decides the order of stopping) and
 * tells, at the end, whether any of its children is left. Where the system can do it (`setpriv`, part of every Debian),
 * the kernel stops the server when this process dies without stopping it.
 */
export type ForegroundProcess = {
  readonly pid: number;
  /** Standard output and error so far, the last 64 KiB. */
  output(): string;
  /** The exit code or signal name; null while it runs. */
  ended(): string | null;
  /** Sends SIGTERM, and SIGKILL to what is left after `graceMs`; returns when no process of the group is left. */
  stop(graceMs?: number): Promise<void>;
};

const OUTPUT_OCTETS = 64 * 1024;
const POLL_MS = 10;

export async function startForegroundProcess(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<ForegroundProcess> {
  const setpriv = process.platform === 'linux' ? await findProgram('setpriv') : null;
  const [command, commandArgs] =
    setpriv === null ? [program, [...args]] : [setpriv, ['--pdeathsig', 'TERM', '--', program, ...args]];
  const child = spawn(command, commandArgs, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let output = '';
  const keep = (octets: Buffer): void => {
    output = (output + octets.toString('latin1')).slice(-OUTPUT_OCTETS);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  await once(child, 'spawn');
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${program} started without a process id`);
  return {
    pid,
    output: () => output,
    ended: () => endOf(child),
    stop: (graceMs = 10_000) => stopGroup(child, pid, graceMs),
  };
}

function endOf(child: ChildProcess): string | null {
  if (child.exitCode !== null) return `exit code ${child.exitCode}`;
  return child.signalCode;
}

async function stopGroup(child: ChildProcess, pid: number, graceMs: number): Promise<void> {
  if (endOf(child) === null) child.kill('SIGTERM');
  const deadline = Date.now() + graceMs;
  while (endOf(child) === null || signalGroup(pid, 0)) {
    if (Date.now() > deadline) signalGroup(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Whether a process of the group was there to receive the signal. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    // EPERM: members are left, of another user.
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ESRCH') return false;
    if (code === 'EPERM') return true;
    throw error;
  }
}
