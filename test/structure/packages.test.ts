import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from './source-files.ts';

type LockEntry = {
  version?: string;
  resolved?: string;
  integrity?: string;
  inBundle?: boolean;
  optionalDependencies?: Record<string, string>;
};

const manifest = JSON.parse(read('package.json'));
const lock: Record<string, LockEntry> = JSON.parse(read('package-lock.json')).packages;
const wanted: Record<string, string> = {
  ...manifest.dependencies,
  ...manifest.optionalDependencies,
  ...manifest.devDependencies,
};
const entries = Object.entries(lock).filter(([path]) => path !== '');

describe('the packages a fresh clone gets', () => {
  test('package.json names exact versions, and the lock file the same', () => {
    for (const [name, version] of Object.entries(wanted)) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
      expect(lock[`node_modules/${name}`]?.version, name).toBe(version);
    }
  });

  test('every package of the lock file is pinned by its digest', () => {
    const loose = entries.filter(
      ([, entry]) => !/^sha512-/.test(entry.integrity ?? '') && entry.inBundle !== true,
    );
    expect(loose.map(([path]) => path)).toEqual([]);
  });

  test('neither .npmrc nor the lock file names a registry', () => {
    expect(read('.npmrc')).toMatch(/^save-exact=true$/m);
    expect(read('.npmrc')).not.toMatch(/registry=|\/\/|_auth|cafile|proxy/i);
    const hosts = entries.flatMap(([, entry]) => entry.resolved ?? []);
    expect(hosts).toEqual([]);
  });

  test('the lock file has every optional package, those for other systems too, or npm ci refuses it', () => {
    const absent = entries.flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {}).filter((name) => !isInLock(path, name)),
    );
    expect(absent).toEqual([]);
  });
});

/** As Node looks for it: in the package's own node_modules, then in those above. */
function isInLock(path: string, name: string): boolean {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (lock[`${at === '' ? '' : `${at}/`}node_modules/${name}`] !== undefined) return true;
    if (at === '') return false;
  }
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}
