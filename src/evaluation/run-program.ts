import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { SealgateError } from '../errors.ts';

export type ProgramResult = { stdout: Buffer; stderr: string };

/**
 * Runs a program to its end and gives back what it wrote.
 *
 * Secrets go in by standard input or by a file, never by argument or environment, where every user of the machine
 * could read them.
 *
 * @param options.input written to standard input, which is closed after it.
 * @throws SealgateError `evaluation.program-failed` with the program's last words when it does not exit with 0.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { input?: string | Buffer; cwd?: string; env?: Record<string, string> } = {},
): Promise<ProgramResult> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (octets: Buffer) => stdout.push(octets));
  child.stderr.on('data', (octets: Buffer) => stderr.push(octets));
  // A program that fails early closes its input; its exit code says why.
  child.stdin.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') child.emit('error', error);
  });
  child.stdin.end(options.input ?? '');
  const ended = await new Promise<string | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code === 0 ? null : `exit code ${code ?? signal}`));
  });
  const result = { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8') };
  if (ended === null) return result;
  throw new SealgateError({
    code: 'evaluation.program-failed',
    publicText: `${basename(program)} failed: ${lastWords(result) || ended}`,
    duration: 'permanent',
    reason: `${ended}: ${[basename(program), ...args].join(' ')}`,
  });
}

function lastWords({ stdout, stderr }: ProgramResult): string {
  const text = stderr.trim() === '' ? stdout.toString('utf8') : stderr;
  return text.trim().split('\n').at(-1) ?? '';
}
