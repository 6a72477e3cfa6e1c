import { expect, test } from 'vitest';
import type { Extensions } from '../../src/smtp/extensions.ts';
import { readParameters, refusedParameter } from '../../src/smtp/parameters.ts';

const ALL: Extensions = new Map(
  ['SIZE', '8BITMIME', 'SMTPUTF8', 'AUTH', 'DSN', 'CHUNKING', 'BINARYMIME', 'REQUIRETLS', 'MT-PRIORITY'].map(
    (k) => [k, []],
  ),
);

function verdict(verb: 'MAIL' | 'RCPT', text: string, upstream = ALL): number | null {
  const parameters = readParameters(text);
  if (parameters === null) throw new Error('malformed');
  return refusedParameter(verb, parameters, upstream)?.code ?? null;
}

test.each([
  ['MAIL', 'SIZE=0'],
  ['MAIL', 'BODY=7BIT'],
  ['MAIL', 'BODY=8bitmime'],
  ['MAIL', 'SMTPUTF8'],
  ['MAIL', 'AUTH=<>'],
  ['MAIL', 'AUTH=a@example.org'],
  ['MAIL', 'AUTH=e+3Dmc2@example.com'],
  ['MAIL', 'REQUIRETLS'],
  ['MAIL', 'RET=HDRS ENVID=QQ314159'],
  ['RCPT', 'NOTIFY=SUCCESS,FAILURE,DELAY'],
  ['RCPT', 'NOTIFY=never'],
  ['RCPT', 'ORCPT=rfc822;Bob@Example.COM'],
  ['RCPT', 'ORCPT=utf-8;jürgen@bücher.example'],
] as const)('%s %s is passed on', (verb, text) => {
  expect(verdict(verb, text)).toBeNull();
});

test.each([
  ['MAIL', 'SIZE', 501],
  ['MAIL', 'SIZE=x', 501],
  ['MAIL', 'SIZE=-1', 501],
  ['MAIL', 'SIZE=9999999999999999', 501],
  ['MAIL', 'BODY=BINARYMIME', 501],
  ['MAIL', 'SMTPUTF8=YES', 501],
  ['MAIL', 'RET=ALL', 501],
  ['MAIL', `ENVID=${'x'.repeat(101)}`, 501],
  ['MAIL', 'AUTH=a+zz', 501],
  ['MAIL', 'NOTIFY=NEVER', 555],
  ['MAIL', 'REQUIRETLS=YES', 501],
  ['MAIL', 'HOLDFOR=10', 555],
  ['MAIL', 'MT-PRIORITY=9', 555],
  ['MAIL', 'XVERP', 555],
  ['RCPT', 'NOTIFY=NEVER,SUCCESS', 501],
  ['RCPT', 'NOTIFY=SUCCESS,', 501],
  ['RCPT', 'ORCPT=bob', 501],
  ['RCPT', 'ORCPT=rfc822;jürgen@x', 501],
  ['RCPT', 'SIZE=5', 555],
] as const)('%s %s is refused with %i', (verb, text, code) => {
  expect(verdict(verb, text)).toBe(code);
});

test('what the upstream does not offer is not passed on', () => {
  expect(verdict('MAIL', 'SIZE=1', new Map())).toBe(555);
  expect(verdict('RCPT', 'NOTIFY=NEVER', new Map([['SIZE', []]]))).toBe(555);
});
