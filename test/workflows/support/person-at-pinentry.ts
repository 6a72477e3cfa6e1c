import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a person was shown when the PIN was asked for: the lines of Assuan from one prompt's beginning to its GETPIN. */
export type Prompt = { title: string; description: string; error: string | null };

/**
 * A pinentry of a few lines of shell, and the person before it. What it is told and what the person types go through named pipes:
 * nothing of it is in an argument, in an environment or in a file.
 */
export class PersonAtPinentry {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sealgate-person-'));
  readonly program = join(this.#folder, 'pinentry');
  /** Every prompt there has been, oldest first. */
  readonly prompts: Prompt[] = [];
  readonly #typed: number;
  readonly #told: Socket;
  #seen = 0;
  #changed = Promise.withResolvers<void>();

  constructor() {
    const [told, typed] = [join(this.#folder, 'told'), join(this.#folder, 'typed')];
    execFileSync('mkfifo', ['-m', '600', told, typed]);
    const script = [
      '#!/bin/sh',
      `exec 3> '${told}'`,
      'echo OK',
      'while IFS= read -r line; do',
      '  printf "%s\\n" "$line" >&3',
      '  case "$line" in',
      `    GETPIN) IFS= read -r answer < '${typed}'`,
      '      if [ -z "$answer" ]; then echo "ERR 83886179 Operation cancelled"',
      '      else printf "D %s\\nOK\\n" "$answer"; fi ;;',
      '    BYE) echo OK; exit ;;',
      '    *) echo OK ;;',
      '  esac',
      'done',
    ];
    writeFileSync(this.program, `${script.join('\n')}\n`);
    chmodSync(this.program, 0o700);
    // Open for both, a pipe neither blocks nor ends, whoever comes and goes at its other end (fifo(7)).
    this.#typed = openSync(typed, constants.O_RDWR);
    this.#told = new Socket({ fd: openSync(told, constants.O_RDWR | constants.O_NONBLOCK), writable: false });
    let rest = '';
    let lines: string[] = [];
    this.#told.on('data', (chunk: Buffer) => {
      const parts = `${rest}${chunk.toString('utf8')}`.split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        if (line.startsWith('GETINFO flavor')) lines = [];
        lines.push(line);
        if (line === 'GETPIN') this.#shown(lines);
      }
    });
  }

  /** The next prompt that nobody has looked at yet. */
  async asked(): Promise<Prompt> {
    for (;;) {
      const prompt = this.prompts[this.#seen];
      if (prompt !== undefined) {
        this.#seen++;
        return prompt;
      }
      await this.#changed.promise;
    }
  }

  type(pin: string): void {
    writeSync(this.#typed, `${pin}\n`);
  }

  cancel(): void {
    this.type('');
  }

  [Symbol.dispose](): void {
    this.#told.destroy();
    closeSync(this.#typed);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #shown(lines: readonly string[]): void {
    const said = (command: string): string | null => {
      const line = lines.find((each) => each.startsWith(`${command} `));
      return line === undefined ? null : decodeURIComponent(line.slice(command.length + 1));
    };
    this.prompts.push({
      title: said('SETTITLE') ?? '',
      description: said('SETDESC') ?? '',
      error: said('SETERROR'),
    });
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
