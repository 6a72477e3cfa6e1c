import { execFile } from 'node:child_process';
import { Refusal } from './specification.ts';

/**
 * Runs a program to its end and gives its output.
 *
 * @throws Refusal with the program's own words when it ends with another code than 0
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Buffer> {
  const { output } = await runForWords(program, args, options);
  return output;
}

export type RunOptions = { input?: string | Buffer };

/** The same, with what the program said besides. */
export function runForWords(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<{ output: Buffer; words: string }> {
  return new Promise((resolve, reject) => {
    const settings = {
      encoding: 'buffer',
      maxBuffer: 16 * 1024 * 1024,
      timeout: 60_000,
      env: { ...process.env, LC_ALL: 'C' },
    } as const;
    const child = execFile(program, args, settings, (error, stdout, stderr) => {
      if (error === null) resolve({ output: stdout, words: stderr.toString() });
      else if (error.code === 'ENOENT') reject(error);
      else reject(new Refusal(wordsOf(`${stderr.toString('utf8')}\n${stdout.toString('latin1')}`, error)));
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

/** What gpgsm says whether or not something is wrong. */
const CHATTER = /CRLs not checked|Note: non-critical|^\[GNUPG:\]/;

/** The telling line of what a program prints when it fails. */
function wordsOf(output: string, error: Error & { signal?: NodeJS.Signals | null | undefined }): string {
  const lines = output
    .split('\n')
    .map((line) => line.replace(/[^\x20-\x7e]/g, '').trim())
    .filter((line) => line !== '' && !CHATTER.test(line));
  // OpenSSL: thread:error:number:library:function:reason:file:line:data
  const reasons = lines.flatMap((line) => {
    const [, , , library, , reason, , , data] = /^[0-9A-F]+:error:/.test(line) ? line.split(':') : [];
    return reason === undefined
      ? []
      : [`${library?.replace(/ routines$/, '')}: ${reason}${data ? ` (${data})` : ''}`];
  });
  const [first] = reasons;
  if (first !== undefined) return [...new Set(reasons)].slice(0, 2).join('; ');
  if (error.signal) return `it ended by ${error.signal}`;
  const telling =
    lines.find((line) => /\b\w*(error|exception):/i.test(line)) ??
    lines.find((line) => /fail|error|invalid|unsupported|unknown|not |bad|no /i.test(line));
  return (telling ?? lines.at(-1) ?? 'no reason given').slice(0, 200);
}

/**
 * For what a program has no option for: shows that its own help names none. A help that does is a reason to teach the
 * matrix, so it is no refusal.
 *
 * @throws Refusal
 */
export function askHelp(help: string, option: RegExp, wanted: string): never {
  if (option.test(help)) throw new Error(`the help of this version names an option for ${wanted}`);
  throw new Refusal(`no option for ${wanted} in its help`);
}
