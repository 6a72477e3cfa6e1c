import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './authority.ts';

/** OpenSSL with a folder for what passes between it and a test. */
export type Workbench = {
  path(name: string): string;
  openssl(...args: readonly string[]): Buffer;
  remove(): void;
};

export function workbench(): Workbench {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-keys-'));
  return {
    path: (name) => join(folder, name),
    openssl: (...args) => run('openssl', args),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
