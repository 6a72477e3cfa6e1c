import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { PinPrompt } from '../../../../src/hsm/pin/pin-prompt.ts';
import type { PinSource, TokenSource } from '../../../../src/hsm/source-kinds.ts';
import type { Asking } from './asking-program.ts';

const program = fileURLToPath(new URL('./asking-program.ts', import.meta.url));
const gateway = fileURLToPath(new URL('./asking-gateway.ts', import.meta.url));

export const LOG_IN = {
  purpose: 'log-in',
  token: { label: 'ALICE', serial: '0815', reader: 'Reader 00 00', tries: 'fine' },
  previousError: null,
} as const satisfies PinPrompt;

export type Asked = {
  source: PinSource;
  prompt?: PinPrompt;
  timeoutMs?: number;
  environment?: Record<string, string>;
};

/**
 * A person in front of a terminal of their own (a pty of script(1)), on which something asks for a PIN: a prompt alone, or a gateway
 * with a key process for `place`.
 */
export class Terminal {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sealgate-terminal-'));
  readonly #outcomeFile = join(this.#folder, 'outcome');
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<void>;
  #waiting: (() => void)[] = [];
  /** All that the person sees. */
  seen = '';

  constructor({ source, prompt = LOG_IN, timeoutMs = 30_000, environment = {} }: Asked, place?: TokenSource) {
    const asking: Asking = { source, prompt, timeoutMs, outcomeFile: this.#outcomeFile };
    const asker = place === undefined ? [program, JSON.stringify(asking)] : [gateway, JSON.stringify(place)];
    const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
    // The state of the terminal before and after, as stty tells it; the number of the process in between.
    const command = [
      'before=$(stty -g); echo BEFORE=$before',
      `sh -c 'echo PID=$$; exec "$@"' sh ${[process.execPath, ...asker].map(quoted).join(' ')}`,
      'echo STATUS=$?',
      // Its key process, should there be one, is still ending.
      ...(place === undefined
        ? []
        : ['for i in 1 2 3 4 5 6 7 8 9; do [ "$(stty -g)" = "$before" ] || sleep 0.5; done']),
      'echo AFTER=$(stty -g)',
    ].join('; ');
    this.#child = spawn('script', ['-qefc', command, '/dev/null'], {
      env: { PATH: process.env.PATH, HOME: this.#folder, TERM: 'dumb', SHELL: '/bin/sh', ...environment },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.seen += chunk.toString('utf8');
      for (const look of this.#waiting) look();
    });
    this.#ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  /** Waits until the person sees it. */
  async sees(what: RegExp): Promise<RegExpExecArray> {
    return await new Promise((resolve, reject) => {
      const look = () => {
        const match = what.exec(this.seen);
        if (match !== null) resolve(match);
      };
      this.#waiting.push(look);
      void this.#ended.then(() => reject(new Error(`${what} is not in what was seen:\n${this.seen}`)));
      look();
    });
  }

  type(keys: string | Buffer): void {
    this.#child.stdin.write(keys);
  }

  /** Process number of whoever asks. */
  async asker(): Promise<number> {
    return Number((await this.sees(/PID=(\d+)/))[1]);
  }

  /** How it ended: the outcome, null when it came to none; and whether the terminal is again as it was. */
  async end(): Promise<{ outcome: unknown; restored: boolean; status: number }> {
    const [, after] = await this.sees(/AFTER=(\S+)/);
    const [, before] = await this.sees(/BEFORE=(\S+)/);
    const [, status] = await this.sees(/STATUS=(\d+)/);
    await this.#ended;
    return { outcome: this.#outcome(), restored: before === after, status: Number(status) };
  }

  #outcome(): unknown {
    try {
      return JSON.parse(readFileSync(this.#outcomeFile, 'utf8'));
    } catch {
      // The program ended before there was any.
      return null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
