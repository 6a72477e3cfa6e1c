import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBase64 } from '../../src/sasl/base64.ts';
import { canonicalLogin } from '../../src/sasl/canonical-login.ts';
import {
  plainMessage,
  readLogin,
  readOauthBearer,
  readPlain,
  readXoauth2,
} from '../../src/sasl/credentials.ts';

const bytes = (text: string) => Buffer.from(text, 'utf8');
const loginOf = (outcome: ReturnType<typeof readPlain>) =>
  outcome.kind === 'refused' ? 'refused' : outcome.login;

test.each([
  ['\0alice\0secret', 'alice'],
  ['alice\0alice\0secret', 'alice'],
  ['\0Alice@Example.ORG\0secret', 'Alice@example.org'],
  ['Alice@example.org\0Alice@Example.ORG\0secret', 'Alice@example.org'],
  ['\0jürgen\0geheim', 'jürgen'],
  // Somebody else's identity, asked for with one's own password.
  ['bob\0alice\0secret', 'refused'],
  ['\0\0secret', 'refused'],
  ['\0alice\0', 'refused'],
  ['\0alice', 'refused'],
  ['alice', 'refused'],
  ['', 'refused'],
  // Where the upstream might stop reading at another NUL than we.
  ['\0alice\0secret\0more', 'refused'],
  ['\0\0alice\0secret', 'refused'],
  ['\0alice\n\0secret', 'refused'],
  ['\0 alice\0secret', 'refused'],
  ['\0alice \0secret', 'refused'],
  // Kelvin sign and decomposed ü: another login upstream, the same after normalization.
  ['\0\u212aarl\0secret', 'refused'],
  ['\0ju\u0308rgen\0secret', 'refused'],
])('RFC 4616 PLAIN %j is the login of %s', (message, login) => {
  expect(loginOf(readPlain(bytes(message)))).toBe(login);
});

test('PLAIN goes on without authorization identity and with the very octets of the password', () => {
  const message = Buffer.from('alice\0alice\0p\xe4ss', 'latin1');
  const credentials = readPlain(message);
  if (credentials.kind === 'refused') throw new Error(credentials.why);
  expect(plainMessage(credentials)).toEqual(Buffer.from('\0alice\0p\xe4ss', 'latin1'));
});

test('LOGIN that would become another PLAIN message is refused', () => {
  expect(loginOf(readLogin(bytes('alice'), bytes('secret')))).toBe('alice');
  expect(loginOf(readLogin(bytes('alice\0bob'), bytes('secret')))).toBe('refused');
  expect(loginOf(readLogin(bytes('alice'), bytes('x\0bob\0secret')))).toBe('refused');
  expect(loginOf(readLogin(bytes(''), bytes('secret')))).toBe('refused');
  expect(loginOf(readLogin(bytes('alice'), bytes('')))).toBe('refused');
});

test.each([
  ['user=alice@example.org\x01auth=Bearer ya29.token\x01\x01', 'alice@example.org'],
  ['user=a\x01auth=Bearer t\x01', 'refused'],
  ['user=a\x01user=b\x01auth=Bearer t\x01\x01', 'refused'],
  ['user=a\x01USER=b\x01auth=Bearer t\x01\x01', 'refused'],
  ['auth=Bearer t\x01\x01', 'refused'],
  ['user=a\x01auth=Basic t\x01\x01', 'refused'],
  ['user=a\x01auth=Bearer \x01\x01', 'refused'],
  ['user=\x01auth=Bearer t\x01\x01', 'refused'],
  ['user=a\0b\x01auth=Bearer t\x01\x01', 'refused'],
  ['', 'refused'],
])('XOAUTH2 %j is the login of %s', (message, login) => {
  expect(loginOf(readXoauth2(bytes(message)))).toBe(login);
});

test.each([
  ['n,a=alice@example.org,\x01host=h\x01port=587\x01auth=Bearer t\x01\x01', 'alice@example.org'],
  ['n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01', 'a,b=c'],
  ['n,,\x01auth=Bearer t\x01\x01', 'refused'],
  ['n,a=,\x01auth=Bearer t\x01\x01', 'refused'],
  ['n,a=x=2c,\x01auth=Bearer t\x01\x01', 'refused'],
  ['p=tls-unique,a=alice,\x01auth=Bearer t\x01\x01', 'refused'],
  ['n,a=alice,\x01auth=Bearer t\x01auth=Bearer u\x01\x01', 'refused'],
  ['n,a=alice,\x01\x01', 'refused'],
  ['n,a=alice,\x01user=mallory\x01auth=Bearer t\x01\x01', 'refused'],
])('RFC 7628 OAUTHBEARER %j is the login of %s', (message, login) => {
  expect(loginOf(readOauthBearer(bytes(message)))).toBe(login);
});

test('Base64 is read strictly', () => {
  expect(decodeBase64(bytes('AGEAYg=='))).toEqual(bytes('\0a\0b'));
  expect(decodeBase64(bytes(''))).toEqual(bytes(''));
  for (const bad of [
    'AGEAYg',
    'AGEAYg=',
    'AGEA Yg==',
    'AGEAYg==\n',
    'AGEAYg==AA',
    'AGEAYh==',
    'AGEA_g==',
    '=',
    '*',
  ]) {
    expect(decodeBase64(bytes(bad))).toBeNull();
  }
});

test('a secret shows nowhere', () => {
  const credentials = readPlain(bytes('\0alice\0opensesame'));
  expect(inspect(credentials, { depth: 9, showHidden: true })).not.toContain('opensesame');
  expect(JSON.stringify(credentials)).not.toContain('opensesame');
});

test('property: a login is looked up in a form that does not change any more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (octets) => {
      const login = canonicalLogin(Buffer.from(octets));
      if (login !== null) expect(canonicalLogin(bytes(login))).toBe(login);
    }),
    { numRuns: 1_000 },
  );
});

test('property: no octets crash a reader', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (octets) => {
      for (const read of [readPlain, readXoauth2, readOauthBearer]) {
        expect(['refused', 'password', 'token']).toContain(read(Buffer.from(octets)).kind);
      }
    }),
    { numRuns: 500 },
  );
});
