import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ReadStream } from 'node:tty';
import type { AskOptions, PinOutcome, PinPrompt } from './pin-prompt.ts';
import { promptText } from './prompt-text.ts';
import { TypedLine } from './typed-line.ts';

/**
 * Asks on the terminal that this process was started from. Nothing that is typed shows. The terminal is put back as it was in
 * every case but SIGKILL, which nobody can do anything about.
 */

const ANSWER_MS = 60_000;
/** What was typed before the question was not the answer to it. */
const TYPED_AHEAD_MS = 100;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/** Never rejects. Ctrl-C and Ctrl-D cancel. */
export async function askOnTerminal(prompt: PinPrompt, options: AskOptions = {}): Promise<PinOutcome> {
  if (isInBackground()) {
    return impossible('The gateway runs in the background, where it cannot ask on its terminal.');
  }
  let terminal: Terminal;
  try {
    terminal = new Terminal();
  } catch {
    // ENXIO: no terminal controls this process; ENOENT, EACCES: none that we reach.
    return impossible(
      'There is no terminal to ask for the PIN on: start the gateway from one, or say pin: { ask: pinentry } or { file }.',
    );
  }
  try {
    const deadline = AbortSignal.timeout(options.timeoutMs ?? ANSWER_MS);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal]);
    return await terminal.ask(prompt, signal);
  } catch (error) {
    return impossible(
      `The terminal cannot be used: ${error instanceof Error ? error.message : 'unknown error'}.`,
    );
  } finally {
    terminal.close();
  }
}

class Terminal {
  readonly #output = openSync('/dev/tty', 'w');
  readonly #input: ReadStream;

  constructor() {
    this.#input = new ReadStream(openSync('/dev/tty', 'r'));
    for (const signal of SIGNALS) process.on(signal, this.#interrupted);
    process.once('exit', this.#restore);
  }

  async ask(prompt: PinPrompt, signal: AbortSignal): Promise<PinOutcome> {
    // Neither echo, nor lines, nor signals from keys.
    this.#input.setRawMode(true);
    this.#input.on('data', wipe);
    await delay(TYPED_AHEAD_MS);
    this.#input.removeListener('data', wipe);
    const { title, description, field, error } = promptText(prompt);
    const lines = ['', title, ...description, ...(error === null ? [] : [error]), `${field}: `];
    writeSync(this.#output, lines.join('\r\n'));
    const line = new TypedLine();
    try {
      const end = await this.#read(line, signal);
      writeSync(this.#output, '\r\n');
      switch (end) {
        case 'unanswered':
          return { kind: 'unanswered', publicText: 'Nobody typed the PIN in time.' };
        case 'cancelled':
          return { kind: 'cancelled', publicText: 'The prompt for the PIN was cancelled.' };
        case 'entered':
          return pinOf(line);
      }
    } finally {
      line.wipe();
    }
  }

  #read(line: TypedLine, signal: AbortSignal): Promise<'entered' | 'cancelled' | 'unanswered'> {
    return new Promise((resolve, reject) => {
      const aborted = () => resolve('unanswered');
      signal.addEventListener('abort', aborted);
      if (signal.aborted) aborted();
      this.#input.once('error', reject);
      this.#input.once('end', () => resolve('cancelled'));
      this.#input.on('data', (chunk: Buffer) => {
        const end = line.take(chunk);
        chunk.fill(0);
        if (end !== null) resolve(end);
      });
    });
  }

  close(): void {
    this.#restore();
    for (const signal of SIGNALS) process.removeListener(signal, this.#interrupted);
    process.removeListener('exit', this.#restore);
    this.#input.destroy();
    closeSync(this.#output);
  }

  readonly #restore = (): void => {
    if (!this.#input.destroyed) this.#input.setRawMode(false);
  };

  /** Puts the terminal back, then lets the signal do what it would have done without us. */
  readonly #interrupted = (signal: NodeJS.Signals): void => {
    this.#restore();
    process.removeListener(signal, this.#interrupted);
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
}

function pinOf(line: TypedLine): PinOutcome {
  if (line.overflowed) {
    return { kind: 'cancelled', publicText: 'More was typed than a PIN or password has; nothing was used.' };
  }
  const pin = line.text();
  if (pin.length === 0) return { kind: 'cancelled', publicText: 'Nothing was typed as the PIN.' };
  if (isUtf8(pin)) return { kind: 'pin', pin, identity: null };
  pin.fill(0);
  return impossible('What was typed is no UTF-8 text: the terminal uses another character set.');
}

/**
 * Whether another program has the terminal: reading from it would stop this process. Only where /proc says so (fields 5 and 8
 * of proc_pid_stat(5): pgrp and tpgid).
 */
function isInBackground(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const [, , group, , , terminalGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return terminalGroup !== '-1' && group !== terminalGroup;
  } catch {
    // No such file system here: the terminal itself will tell.
    return false;
  }
}

function wipe(chunk: Buffer): void {
  chunk.fill(0);
}

function impossible(publicText: string): PinOutcome {
  return { kind: 'unavailable', duration: 'permanent', publicText };
}
