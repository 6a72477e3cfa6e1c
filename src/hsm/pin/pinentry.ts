import { isUtf8 } from 'node:buffer';
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { PINENTRY_ENVIRONMENT } from '../pinentry-environment.ts';
import { AssuanClient, AssuanFault, encodeArgument } from './assuan.ts';
import type { AskOptions, PinOutcome, PinPrompt } from './pin-prompt.ts';
import { promptText } from './prompt-text.ts';

/**
 * Asks through a pinentry, the program that GnuPG asks with: on a desktop a window that keeps other programs from reading along,
 * else the terminal. It is a program of the person's own choice; still it is held to the protocol and to its time. Its password cache is never
 * allowed, so every PIN was typed for this prompt.
 */

const ANSWER_MS = 60_000;
/** Until the program has come up and taken its texts. */
const PREPARATION_MS = 10_000;
/** After its own time is up: until it is ended. */
const GRACE_MS = 2_000;
/** Between asking a program to end and ending it. */
const END_MS = 1_000;

/** GPG_ERR_CANCELED, GPG_ERR_TIMEOUT and GPG_ERR_FULLY_CANCELED of libgpg-error; the upper octet says which program's. */
const CANCELLED = 99;
const TIMED_OUT = 62;
const FULLY_CANCELLED = 198;

/** Never rejects. @param program absolute path; null: the first `pinentry` on PATH */
export async function askPinentry(
  program: string | null,
  prompt: PinPrompt,
  options: AskOptions = {},
): Promise<PinOutcome> {
  const found = program ?? onPath('pinentry');
  if (found === null) {
    return impossible(
      'There is no pinentry on PATH: install one (pinentry-gnome3, pinentry-qt, pinentry-curses), or name it as program.',
    );
  }
  if (options.signal?.aborted === true) return UNANSWERED;
  let child: ChildProcess & { stdin: Writable; stdout: Readable };
  try {
    child = spawn(found, [], { cwd: '/', env: environment(), stdio: ['pipe', 'pipe', 'ignore'] });
  } catch (error) {
    return impossible(`${found} cannot be started: ${reasonOf(error)}.`);
  }
  const running = new RunningPinentry(child, options.signal ?? null);
  const client = new AssuanClient(child.stdin, child.stdout);
  try {
    return await converse(found, client, running, prompt, options.timeoutMs ?? ANSWER_MS);
  } catch (error) {
    if (running.stopped) return UNANSWERED;
    if (running.startError !== null) return impossible(`${found} cannot be started: ${running.startError}.`);
    if (!(error instanceof AssuanFault)) throw error;
    return impossible(`${found} did not do its work as a pinentry: ${error.message}.`);
  } finally {
    client.close();
    await running.end();
  }
}

async function converse(
  program: string,
  client: AssuanClient,
  running: RunningPinentry,
  prompt: PinPrompt,
  timeoutMs: number,
): Promise<PinOutcome> {
  running.allow(PREPARATION_MS);
  const greeting = await client.greeting();
  if (greeting.kind === 'error') return impossible(`${program} refuses to work (error ${greeting.code}).`);
  const flavour = await client.send('GETINFO flavor');
  const terminal = terminalOf(process.env);
  const needsTerminal = flavour.kind === 'ok' && /^(?:tty|curses)/.test(flavour.data.toString('latin1'));
  if (needsTerminal && terminal === null) {
    return impossible(
      `${program} asks on a terminal, and there is none: choose a pinentry with a window, or put the PIN into a file.`,
    );
  }
  // What one of them does not know it refuses, and does without.
  for (const command of settings(prompt, terminal, timeoutMs)) await client.send(command);
  running.allow(timeoutMs + GRACE_MS);
  const answer = await client.send('GETPIN');
  if (answer.kind === 'ok') return pinFrom(program, answer);
  switch (answer.code & 0xffff) {
    case CANCELLED:
    case FULLY_CANCELLED:
      return { kind: 'cancelled', publicText: 'The prompt for the PIN was cancelled.' };
    case TIMED_OUT:
      return UNANSWERED;
    default:
      return impossible(`${program} could not ask (error ${answer.code}).`);
  }
}

function pinFrom(program: string, { data, status }: { data: Buffer; status: readonly string[] }): PinOutcome {
  const refused = (why: string): PinOutcome => {
    data.fill(0);
    return impossible(`${program} ${why}.`);
  };
  if (data.length === 0) return { kind: 'cancelled', publicText: 'Nothing was typed as the PIN.' };
  if (status.includes('PASSWORD_FROM_CACHE')) return refused('answered from a cache, and nobody was asked');
  if (data.includes(0) || data.includes(0x0a) || data.includes(0x0d) || !isUtf8(data)) {
    return refused('answered with something that is no line of text');
  }
  return { kind: 'pin', pin: data, identity: null };
}

function settings(prompt: PinPrompt, terminal: string | null, timeoutMs: number): string[] {
  const { title, description, field, error, button } = promptText(prompt);
  const { TERM, LC_ALL, LC_CTYPE, LC_MESSAGES, LANG, DISPLAY } = process.env;
  const options = {
    ttyname: terminal,
    ttytype: terminal === null ? null : TERM,
    'lc-ctype': LC_ALL ?? LC_CTYPE ?? LANG,
    'lc-messages': LC_ALL ?? LC_MESSAGES ?? LANG,
    display: DISPLAY,
  };
  const set = Object.entries(options).flatMap(([name, value]) =>
    value == null || value === '' || value.length > 200 ? [] : [`OPTION ${name}=${encodeArgument(value)}`],
  );
  return [
    ...set,
    `SETTIMEOUT ${Math.max(1, Math.ceil(timeoutMs / 1000))}`,
    `SETTITLE ${encodeArgument(title)}`,
    `SETDESC ${encodeArgument(description.join('\n'))}`,
    `SETPROMPT ${encodeArgument(`${field}:`)}`,
    `SETOK ${encodeArgument(button)}`,
    ...(error === null ? [] : [`SETERROR ${encodeArgument(error)}`]),
  ];
}

/** The program, from its start to its end. */
class RunningPinentry {
  readonly #child: ChildProcess;
  readonly #signal: AbortSignal | null;
  readonly #ended: Promise<void>;
  #timer: NodeJS.Timeout | null = null;
  /** Ended because its time was up, or nobody wanted the answer any more. */
  stopped = false;
  startError: string | null = null;

  constructor(child: ChildProcess, signal: AbortSignal | null) {
    this.#child = child;
    this.#signal = signal;
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', (error) => {
        this.startError ??= reasonOf(error);
        child.stdout?.destroy();
        resolve();
      });
    });
    signal?.addEventListener('abort', this.#stop);
    // A window that nobody waits for would take the next PIN that is typed.
    process.once('exit', this.#kill);
  }

  allow(milliseconds: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#stop, milliseconds);
  }

  /** Settles when it has ended, which it has to. */
  async end(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#stop);
    // The signal of its own timeout: pinentry-tty puts the terminal back at this one and at no other.
    this.#child.kill('SIGALRM');
    this.#child.stdin?.destroy();
    const killer = setTimeout(this.#kill, END_MS);
    await this.#ended;
    clearTimeout(killer);
    process.removeListener('exit', this.#kill);
    this.#child.stdout?.destroy();
  }

  readonly #stop = (): void => {
    this.stopped = true;
    this.#child.stdout?.destroy(new Error('nobody waits any more'));
  };

  readonly #kill = (): void => {
    this.#child.kill('SIGKILL');
  };
}

function environment(): Record<string, string> {
  const values = PINENTRY_ENVIRONMENT.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(values);
}

/** null: none. Only absolute folders: what lies in the working folder is run by nobody. */
function onPath(name: string): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const candidate = join(folder, name);
    if (isAbsolute(folder) && isRunnable(candidate)) return candidate;
  }
  return null;
}

function isRunnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there, or not for us: the next folder.
    return false;
  }
}

/** Device of the terminal for those that ask on one; null: there is none. */
function terminalOf({ GPG_TTY }: NodeJS.ProcessEnv): string | null {
  if (GPG_TTY !== undefined && /^\/dev\/[A-Za-z0-9/]{1,100}$/.test(GPG_TTY)) return GPG_TTY;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return '/dev/tty';
  } catch {
    // No terminal controls this process: a daemon's.
    return null;
  }
}

const UNANSWERED: PinOutcome = {
  kind: 'unanswered',
  publicText: 'Nobody typed the PIN in time.',
};

function impossible(publicText: string): PinOutcome {
  return { kind: 'unavailable', duration: 'permanent', publicText };
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  switch (code) {
    case 'ENOENT':
      return 'it does not exist';
    case 'EACCES':
      return 'it is not a program that the user the gateway runs as may run';
    default:
      return code;
  }
}
