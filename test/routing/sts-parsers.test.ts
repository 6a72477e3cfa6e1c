import { describe, expect, test } from 'vitest';
import { isNamedBy, readStsPolicy } from '../../src/routing/sts-policy.ts';
import { stsPolicyId } from '../../src/routing/sts-record.ts';
import { txtRecord } from './support/records.ts';

describe('the record of a policy', () => {
  test.each<[string, readonly string[], string | null]>([
    ['as RFC 8461 has it', ['v=STSv1; id=20160831085700Z;'], '20160831085700Z'],
    ['without a delimiter at the end', ['v=STSv1;id=a1'], 'a1'],
    ['with more fields', ['v=STSv1 ; x-y_z.0=~!: ; id=a'], 'a'],
    ['with a field that is none', ['v=STSv1; more=a=b; id=a'], null],
    ['with a field that nobody knows', ['v=STSv1; more=~!; id=a'], 'a'],
    ['beside other records', ['v=spf1 -all', 'v=STSv1; id=a'], 'a'],
    ['twice', ['v=STSv1; id=a;', 'v=STSv1; id=b;'], null],
    ['of another version', ['v=STSv12; id=a'], null],
    ['without an id', ['v=STSv1;'], null],
    ['with two ids', ['v=STSv1; id=a; id=b'], null],
    ['with an id that is none', ['v=STSv1; id=a-b'], null],
    ['with an id that is too long', [`v=STSv1; id=${'a'.repeat(33)}`], null],
    ['with an empty field', ['v=STSv1;; id=a'], null],
    ['nowhere', [], null],
  ])('%s', (_, texts, id) => {
    expect(stsPolicyId(texts.map((text) => txtRecord(text)))).toBe(id);
  });

  test('may be written in pieces; half a piece is none', () => {
    expect(stsPolicyId([txtRecord('v=STSv1; id=abc', 2)])).toBe('abc');
    expect(stsPolicyId([txtRecord('v=STSv1; id=abc').subarray(0, -1)])).toBeNull();
  });
});

const policy = (...lines: readonly string[]) => readStsPolicy(Buffer.from(lines.join('\r\n'), 'latin1'));
const WHOLE = ['version: STSv1', 'mode: enforce', 'mx: Mail.example', 'mx: *.mx.example', 'max_age: 604800'];

describe('a policy', () => {
  test('says its mode, its servers, and for how long', () => {
    expect(policy(...WHOLE, '')).toEqual({
      ...{ mode: 'enforce', mx: ['mail.example', '*.mx.example'], maxAgeSeconds: 604_800 },
    });
    expect(readStsPolicy(Buffer.from(WHOLE.join('\n')))).toEqual(policy(...WHOLE));
  });

  test('may have fields that nobody knows, blanks, and of what is there twice the first counts', () => {
    expect(policy(...WHOLE, 'mode: none', 'some.thing: b c', '  ', 'max_age:1')).toEqual(policy(...WHOLE));
  });

  test('of `none` needs no servers; for longer than a year is for a year', () => {
    expect(policy('version: STSv1', 'mode: none', 'max_age: 9999999999')).toEqual({
      ...{ mode: 'none', mx: [], maxAgeSeconds: 31_557_600 },
    });
  });

  test.each<[string, readonly string[]]>([
    ['without a version', WHOLE.slice(1)],
    ['of another version', ['version: STSv2', ...WHOLE.slice(1)]],
    ['without a mode', WHOLE.filter((line) => !line.startsWith('mode'))],
    ['of an unknown mode', WHOLE.map((line) => line.replace('enforce', 'Enforce'))],
    ['that names nobody', WHOLE.filter((line) => !line.startsWith('mx'))],
    ['without an end', WHOLE.slice(0, -1)],
    ['with a time that is none', [...WHOLE.slice(0, -1), 'max_age: 12345678901']],
    ['with a negative time', [...WHOLE.slice(0, -1), 'max_age: -1']],
    ['with a name that is none', [...WHOLE, 'mx: a_b..example']],
    ['with a wildcard in the middle', [...WHOLE, 'mx: a.*.example']],
    ['with a bare wildcard', [...WHOLE, 'mx: *']],
    ['with a line that is no field', [...WHOLE, 'and more']],
    ['with an empty value', [...WHOLE, 'mx:']],
    ['that is a page', ['<html>', ...WHOLE]],
    ['with control characters', [...WHOLE, 'more: \x00']],
    ['of too many names', [...WHOLE, ...Array(200).fill('mx: a.example')]],
    ['that is empty', []],
  ])('%s is none', (_, lines) => {
    expect(policy(...lines)).toBeNull();
  });

  test('that is too long is none', () => {
    expect(policy(...WHOLE, `more: ${'a'.repeat(64 * 1024)}`)).toBeNull();
  });

  test.each([
    ['mail.example', true],
    ['a.mx.example', true],
    ['a.b.mx.example', false],
    ['mx.example', false],
    ['amail.example', false],
    ['.mx.example', false],
  ])('names %s: %s', (host, isNamed) => {
    const read = policy(...WHOLE);
    expect(read !== null && isNamedBy(read, host)).toBe(isNamed);
  });
});
