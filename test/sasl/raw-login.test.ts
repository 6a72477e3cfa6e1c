import { expect, test } from 'vitest';
import { readLogin, readOauthBearer, readXoauth2 } from '../../src/sasl/credentials.ts';
import { rawLogin } from '../../src/sasl/raw-login.ts';

function password(login: string) {
  const read = readLogin(Buffer.from(login), Buffer.from('pw'));
  if (read.kind === 'refused') throw new Error(read.why);
  return read;
}

test.each([
  ['alice+raw', '+raw', 'alice'],
  ['alice@example.org+raw', '+raw', 'alice@example.org'],
  ['alice+raw+raw', '+raw', 'alice+raw'],
  ['alice+raw', null, null],
  ['alice', '+raw', null],
  ['+raw', '+raw', null],
  ['alice+RAW', '+raw', null],
  ['alice+raw@example.org', '+raw', null],
])('%s with the suffix %s is %s', (login, suffix, expected) => {
  expect(rawLogin(password(login), suffix)?.login ?? null).toBe(expected);
});

test.each([
  [
    readXoauth2,
    'user=alice@example.org+raw\x01auth=Bearer abc\x01\x01',
    'user=alice@example.org\x01auth=Bearer abc\x01\x01',
  ],
  [readOauthBearer, 'n,a=alice+raw,\x01auth=Bearer abc\x01\x01', 'n,a=alice,\x01auth=Bearer abc\x01\x01'],
])('a token’s message goes up without it', (read, message, expected) => {
  const credentials = read(Buffer.from(message));
  if (credentials.kind === 'refused') throw new Error(credentials.why);
  expect(rawLogin(credentials, '+raw')?.secret.reveal()).toBe(expected);
});

test('a token’s message that names the login in another way is not changed, and so the login is an ordinary one', () => {
  const credentials = readXoauth2(Buffer.from('auth=Bearer abc\x01user=alice+raw\x01\x01'));
  if (credentials.kind === 'refused') throw new Error(credentials.why);
  expect(rawLogin(credentials, '+raw')).toBeNull();
});
