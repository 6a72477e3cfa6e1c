import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Lines of sh(1), by what they are the answer to. */
export type Behaviour = {
  /** When it starts. */
  greeting?: string;
  /** To GETPIN. */
  getpin?: string;
  /** To every other command. */
  other?: string;
};

/** A pinentry of a few lines of shell, which does what a test wants and writes down what it is told. */
export class TestPinentry {
  readonly folder = mkdtempSync(join(tmpdir(), 'sealgate-pinentry-'));
  readonly program = join(this.folder, 'pinentry');
  readonly #log = join(this.folder, 'log');

  constructor({ greeting = 'echo OK', getpin = 'echo OK', other = 'echo OK' }: Behaviour = {}) {
    const script = [
      '#!/bin/sh',
      `LOG='${this.#log}'`,
      'echo "PROCESS $$" >> "$LOG"',
      'env | sed "s/^/ENVIRONMENT /" >> "$LOG"',
      greeting,
      'while IFS= read -r line; do',
      '  printf "%s\\n" "$line" >> "$LOG"',
      '  case "$line" in',
      `    GETPIN) ${getpin} ;;`,
      `    *) ${other} ;;`,
      '  esac',
      'done',
    ].join('\n');
    writeFileSync(this.program, `${script}\n`);
    chmodSync(this.program, 0o700);
  }

  /** Everything it was told. */
  get told(): readonly string[] {
    return existsSync(this.#log)
      ? readFileSync(this.#log, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
      : [];
  }

  /** Whether its process is there; null: it never was. */
  get isRunning(): boolean | null {
    const process_ = this.told.find((line) => line.startsWith('PROCESS '));
    return process_ === undefined ? null : existsSync(`/proc/${process_.slice('PROCESS '.length)}/status`);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
