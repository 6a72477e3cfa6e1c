import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
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
  /** Sends SIGTERM to the group, and SIGKILL to what is left after `graceMs`; returns when no process of the group is left. */
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
    env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', ...options.env },
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
  // To the whole group at once: Dovecot's first process otherwise waits a second for its log process.
  if (endOf(child) === null) signalGroup(pid, 'SIGTERM');
  const deadline = Date.now() + graceMs;
  while (endOf(child) === null || (await groupIsAlive(pid))) {
    if (Date.now() > deadline) signalGroup(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function groupIsAlive(pid: number): Promise<boolean> {
  if (!signalGroup(pid, 0)) return false;
  // A signal also reaches the dead whose parent has not yet asked for their exit code; they are of no concern.
  return process.platform === 'linux' ? await hasLivingMember(pid) : true;
}

/** Whether the group was there to receive the signal; 0 only asks. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ESRCH') return false;
    // Members are left, of another user.
    if (code === 'EPERM') return true;
    throw error;
  }
}

/** proc(5): `pid (command) state ppid pgrp …`; the command may hold blanks and brackets. */
async function hasLivingMember(group: number): Promise<boolean> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
    const [state, , pgrp] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    if (Number(pgrp) === group && state !== 'Z' && state !== 'X') return true;
  }
  return false;
}
