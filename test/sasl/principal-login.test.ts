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

test("attack: a delegate's token written in another way, or with claims that he could change himself", () => {
  const token = (claims: object): string =>
    ['{"alg":"none"}', JSON.stringify(claims)]
      .map((each) => Buffer.from(each).toString('base64url'))
      .join('.');
  const login = (auth: string): unknown => {
    const read = readXoauth2(latin1(`user=alice@example.org\x01${auth}\x01\x01`));
    return read.kind === 'refused' ? read : principalLogin(read);
  };
  const bob = `${token({ upn: 'bob@example.org' })}.sig`;
  const delegate = 'alice@example.org*bob@example.org';
  expect(login(`auth=Bearer  ${bob}`)).toBe(delegate);
  expect(login(`auth=bearer ${bob}`)).toBe(delegate);
  expect(login(`AUTH=BEARER ${bob}`)).toBe(delegate);
  expect(login(`auth=Bearer ${bob}=`)).toBe(delegate);
  expect(login(`auth=Bearer ${bob}.more`)).toBe(delegate);
  expect(login(`auth=Bearer ${bob}~`)).toBe(delegate);
  // Who may edit his profile may not become alice.
  const upn = 'bob@example.org';
  const email = 'alice@example.org';
  expect(login(`auth=Bearer ${token({ upn, email, preferred_username: email })}.sig`)).toBe(delegate);
  expect(login(`auth=Bearer ${token({ unique_name: upn, email })}.sig`)).toBe(delegate);
  expect(login(`auth=Bearer ${token({ preferred_username: upn, email })}.sig`)).toBe(delegate);
  // Alice under an alias of hers is alice.
  expect(login(`auth=Bearer ${token({ upn: email, email: 'a.smith@example.org' })}.sig`)).toBe(email);
});
