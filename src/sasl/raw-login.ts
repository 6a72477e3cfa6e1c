import { Secret } from '../log/secret.ts';
import type { Credentials } from './credentials.ts';

/**
 * The credentials of a login for mail as it is stored: with the suffix that an administrator has chosen taken off the name, as the
 * upstream shall see them. null: an ordinary login, for its name does not end with the suffix.
 *
 * What the suffix asks for is less than the login without it has: no key is used in such a session.
 */
export function rawLogin(credentials: Credentials, suffix: string | null): Credentials | null {
  const { login } = credentials;
  // Nobody's name is the suffix alone.
  if (suffix === null || !login.endsWith(suffix) || login.length === suffix.length) return null;
  const plain = login.slice(0, -suffix.length);
  if (credentials.kind === 'password') return { ...credentials, login: plain };
  const message = credentials.secret.reveal();
  // The message names the login once, at its beginning: `user=…^A` of XOAUTH2, `n,a=…,` of OAUTHBEARER (RFC 7628 §3.1).
  const named = /^(?:user=[^\x01]*|[ny],a=[^,]*)/i.exec(message)?.[0];
  const coded = latin1(suffix);
  if (named === undefined || !named.endsWith(coded)) return null;
  const rest = message.slice(named.length);
  return {
    ...credentials,
    login: plain,
    secret: new Secret(named.slice(0, -coded.length) + rest),
  };
}

function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
