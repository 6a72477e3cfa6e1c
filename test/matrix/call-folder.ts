import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files of one call. */
export class Folder {
  readonly #path: string;

  constructor(parent: string) {
    this.#path = mkdtempSync(join(parent, 'call-'));
  }

  path(name: string): string {
    return join(this.#path, name);
  }

  file(name: string, octets: Uint8Array | string): string {
    const path = this.path(name);
    writeFileSync(path, octets, { mode: 0o600 });
    return path;
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  remove(): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}
