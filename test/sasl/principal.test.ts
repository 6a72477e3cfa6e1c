import { expect, test } from 'vitest';
import { readPlain } from '../../src/sasl/credentials.ts';
import { Principal } from '../../src/sasl/principal.ts';

test('a principal carries the canonical login of the credentials that were proven', () => {
  const credentials = readPlain(Buffer.from('\0alice@EXAMPLE.org\0secret'));
  if (credentials.kind === 'refused') throw new Error(credentials.why);
  const principal = Principal.proven(credentials);
  expect(principal.login).toBe('alice@example.org');
  expect(Object.keys(principal)).toEqual(['login']);
});

test('its login cannot be changed', () => {
  const principal = Principal.named('alice');
  expect(() => Object.assign(principal, { login: 'bob' })).toThrow(TypeError);
  expect(principal.login).toBe('alice');
});

test.each([
  ['a text', 'alice'],
  ['an object that looks like one', { login: 'alice' }],
  ['a copy of one', { ...Principal.named('alice') }],
  ['a clone of one', structuredClone({ ...Principal.named('alice') })],
  ['an object with its prototype', Object.create(Principal.prototype, { login: { value: 'alice' } })],
  ['one that inherits from one', Object.create(Principal.named('alice'), { login: { value: 'bob' } })],
  ['nothing', null],
])('%s is none', (_what, value) => {
  expect(Principal.is(value)).toBe(false);
  expect(Principal.is(Principal.named('alice'))).toBe(true);
});
