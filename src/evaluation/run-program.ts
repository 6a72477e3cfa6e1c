import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { SealgateError } from '../errors.ts';

export type ProgramOptions = {
  /** Written to standard input, which is closed after it. */
  input?: string | Buffer;
  cwd?: string;
  /** Added to PATH and LC_ALL=C; nothing else is inherited. */
  env?: Record<string, string>;
};

export type ProgramResult = { stdout: Buffer; stderr: string };
/** `failure` says how it ended (`exit code 2`, `signal SIGTERM`); null after exit code 0. */
export type ProgramEnd = ProgramResult & { failure: string | null };

/**
 * Runs a program to its end and tells how it ended.
 *
 * Secrets go in by standard input or by a file, never by argument, where every user of the machine could read them.
 */
export async function runToEnd(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramEnd> {
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
  const failure = await new Promise<string | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(null);
      else resolve(code === null ? `signal ${signal}` : `exit code ${code}`);
    });
  });
  return { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8'), failure };
}

/**
 * The same, for a program that must succeed.
 *
 * @throws SealgateError `evaluation.program-failed` with the program's last words when it does not exit with 0.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const { failure, ...result } = await runToEnd(program, args, options);
  if (failure === null) return result;
  throw new SealgateError({
    code: 'evaluation.program-failed',
    publicText: `${basename(program)} failed: ${lastWords(result) || failure}`,
    duration: 'permanent',
    reason: `${failure}: ${[basename(program), ...args].join(' ')}`,
  });
}

function lastWords({ stdout, stderr }: ProgramResult): string {
  const text = stderr.trim() === '' ? stdout.toString('utf8') : stderr;
  return text.trim().split('\n').at(-1) ?? '';
}
