import { closeSync, openSync, readSync, writevSync } from 'node:fs';

/**
 * What a fuzzing process is at, in a file: it outlives whatever happens to the process, so that an input that hangs or
 * kills it can be read afterwards. `octets` are those of the input being run.
 */
export type Progress = { runs: number; octets: Buffer };

const HEAD = 8;

export class ProgressWriter {
  readonly #file: number;
  readonly #head = Buffer.alloc(HEAD);
  #runs = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'w');
  }

  get runs(): number {
    return this.#runs;
  }

  /** To be called before each run. */
  begins(input: Uint8Array): void {
    this.#runs++;
    this.#head.writeUInt32LE(this.#runs >>> 0, 0);
    this.#head.writeUInt32LE(input.length, 4);
    writevSync(this.#file, [this.#head, input], 0);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** null: no run has begun yet. */
export function readProgress(path: string): Progress | null {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(HEAD);
    if (readSync(file, head, 0, HEAD, 0) < HEAD) return null;
    const octets = Buffer.alloc(head.readUInt32LE(4));
    const read = readSync(file, octets, 0, octets.length, HEAD);
    return { runs: head.readUInt32LE(0), octets: octets.subarray(0, read) };
  } finally {
    closeSync(file);
  }
}
