import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadInstallation } from '../../src/store/installation.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-installation-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('an installation is made once and stays the same', async () => {
  const state = join(folder, 'state');
  const first = await loadInstallation(state);
  expect(first.id).toMatch(/^[a-z0-9]{12}$/);
  expect(first.viewSecret).toHaveLength(32);
  expect(await loadInstallation(state)).toEqual(first);
  expect(readdirSync(state)).toEqual(['installation.json']);
  expect(statSync(join(state, 'installation.json')).mode & 0o777).toBe(0o600);
});

test('two installations differ', async () => {
  const [one, other] = await Promise.all(['a', 'b'].map((name) => loadInstallation(join(folder, name))));
  expect(one?.id).not.toBe(other?.id);
  expect(one?.viewSecret).not.toEqual(other?.viewSecret);
});

test('of many starts at once all see the same installation', async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => loadInstallation(folder)));
  expect(new Set(all.map(({ id }) => id)).size).toBe(1);
  expect(readdirSync(folder)).toEqual(['installation.json']);
});

test.each([
  '',
  '{',
  '{"id":"abcd"}',
  '{"id":"../x","viewSecret":"AAAA"}',
  'null',
  '{"id":"abcd","viewSecret":"AAAA"}',
])('a damaged file (%s) is refused, not replaced, and not shown', async (text) => {
  const file = join(folder, 'installation.json');
  writeFileSync(file, text);
  await expect(loadInstallation(folder)).rejects.toMatchObject({
    code: 'store.unusable',
    publicText: expect.stringContaining(file),
  });
  expect(readFileSync(file, 'utf8')).toBe(text);
});
