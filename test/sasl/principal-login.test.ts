import { expect, test } from 'vitest';
import { readOauthBearer, readPlain, readXoauth2 } from '../../src/sasl/credentials.ts';
import { principalLogin } from '../../src/sasl/principal-login.ts';

const latin1 = (text: string) => Buffer.from(text, 'latin1');

test('a password login is its principal', () => {
  const read = readPlain(latin1('\0Bob@EXAMPLE.org\0pw'));
  expect(read.kind === 'refused' ? read : principalLogin(read)).toBe('Bob@example.org');
});

test("attack: a delegate's token for somebody else's mailbox does not bring the owner's keys", () => {
  const claims = (upn: string): string =>
    ['{"alg":"none"}', JSON.stringify({ upn })]
      .map((each) => Buffer.from(each).toString('base64url'))
      .join('.');
  const logins = (token: string): unknown[] =>
    [
      readXoauth2(latin1(`user=alice@Example.org\x01auth=Bearer ${token}\x01\x01`)),
      readOauthBearer(latin1(`n,a=alice@Example.org,\x01auth=Bearer ${token}\x01\x01`)),
    ].map((read) => (read.kind === 'refused' ? read : principalLogin(read)));
  expect(logins(`${claims('Alice@example.org')}.sig`)).toEqual(['alice@example.org', 'alice@example.org']);
  const delegate = 'alice@example.org*bob@example.org';
  expect(logins(`${claims('bob@example.org')}.sig`)).toEqual([delegate, delegate]);
  expect(logins('opaque')).toEqual(['alice@example.org', 'alice@example.org']);
});
