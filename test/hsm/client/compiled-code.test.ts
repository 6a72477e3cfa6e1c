import { existsSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { holdCompiledCode, letGoOfCompiledCode } from '../../../src/hsm/client/compiled-code.ts';

test('one folder for all key processes, closed to others, which goes with its last user', () => {
  const folder = holdCompiledCode({});
  expect(holdCompiledCode({ NODE_COMPILE_CACHE: '' })).toBe(folder);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  letGoOfCompiledCode();
  expect(existsSync(folder)).toBe(true);
  letGoOfCompiledCode();
  expect(existsSync(folder)).toBe(false);
  const next = holdCompiledCode({});
  expect(next).not.toBe(folder);
  letGoOfCompiledCode();
});

test('a folder that the gateway itself was given is used, and left', () => {
  expect(holdCompiledCode({ NODE_COMPILE_CACHE: '/var/cache/compiled' })).toBe('/var/cache/compiled');
});
