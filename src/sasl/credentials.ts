import { Secret } from '../log/secret.ts';
import { canonicalLogin } from './canonical-login.ts';
import type { Mechanism } from './mechanism.ts';

/**
 * Credentials as SASL mechanisms carry them, read just far enough to know whose they are. One reader for every protocol:
 * what is one login in SMTP is the same login in IMAP.
 *
 * What never happens: the login that we take the client for differs from the one the upstream sees. Hence one identity per exchange
 * (no authorization identity of its own, no field twice), no NUL, no control character, no form that Unicode
 * would normalize to another name.
 */
export type Credentials =
  /** The secret is the password, one character per octet (Latin-1), because old clients do not write UTF-8. */
  | { kind: 'password'; mechanism: 'PLAIN' | 'LOGIN'; login: string; secret: Secret }
  /** The secret is the client's whole first message, one character per octet: it is passed on unchanged. */
  | { kind: 'token'; mechanism: 'XOAUTH2' | 'OAUTHBEARER'; login: string; secret: Secret };

export type SaslRefusal = {
  kind: 'refused';
  reason: 'malformed' | 'on-behalf' | 'no-identity';
  /** For people. */
  why: string;
};

export const MALFORMED: SaslRefusal = {
  kind: 'refused',
  reason: 'malformed',
  why: 'The credentials are malformed',
};
export const ON_BEHALF: SaslRefusal = {
  kind: 'refused',
  reason: 'on-behalf',
  why: 'Logging in on behalf of another user is not supported',
};
export const NO_IDENTITY: SaslRefusal = {
  kind: 'refused',
  reason: 'no-identity',
  why: 'The user name is missing in the login',
};

/** The one message of a mechanism that has no more than one. */
export function readMessage(
  mechanism: Exclude<Mechanism, 'LOGIN'>,
  message: Buffer,
): Credentials | SaslRefusal {
  switch (mechanism) {
    case 'PLAIN':
      return readPlain(message);
    case 'XOAUTH2':
      return readXoauth2(message);
    case 'OAUTHBEARER':
      return readOauthBearer(message);
  }
}

/** RFC 4616 §2: `[authzid] NUL authcid NUL passwd`. */
export function readPlain(message: Buffer): Credentials | SaslRefusal {
  const first = message.indexOf(0);
  const second = message.indexOf(0, first + 1);
  if (first === -1 || second === -1 || message.indexOf(0, second + 1) !== -1) return MALFORMED;
  const login = canonicalLogin(message.subarray(first + 1, second));
  if (login === null) return MALFORMED;
  if (first > 0 && canonicalLogin(message.subarray(0, first)) !== login) return ON_BEHALF;
  return password('PLAIN', login, message.subarray(second + 1));
}

/** The two answers of LOGIN (draft-murchison-sasl-login): user name, password. */
export function readLogin(user: Buffer, secret: Buffer): Credentials | SaslRefusal {
  const login = canonicalLogin(user);
  if (login === null) return MALFORMED;
  return password('LOGIN', login, secret);
}

function password(mechanism: 'PLAIN' | 'LOGIN', login: string, secret: Buffer): Credentials | SaslRefusal {
  const text = secret.toString('latin1');
  // A NUL would end up as another user's name or password; a line end in a line of the upstream's protocol.
  if (text === '' || /[\0\r\n]/.test(text)) return MALFORMED;
  return { kind: 'password', mechanism, login, secret: new Secret(text) };
}

/** `user=…^Aauth=Bearer …^A^A`: the message that Google and Microsoft document for XOAUTH2. */
export function readXoauth2(message: Buffer): Credentials | SaslRefusal {
  const fields = keyValues(message, 0);
  if (fields === null) return MALFORMED;
  const login = canonicalLogin(Buffer.from(fields.get('user') ?? '', 'latin1'));
  if (login === null || !isBearer(fields.get('auth'))) return MALFORMED;
  return token('XOAUTH2', login, message);
}

/** RFC 7628 §3.1: `n,a=user,^Ahost=…^Aport=…^Aauth=Bearer …^A^A`. The name is needed: it decides the key. */
export function readOauthBearer(message: Buffer): Credentials | SaslRefusal {
  const text = message.toString('latin1');
  // gs2-header of RFC 5801 §4 without channel binding.
  const header = /^[ny],(?:a=([^,\x00-\x20]*))?,\x01/.exec(text);
  if (header === null) return MALFORMED;
  if (header[1] === undefined || header[1] === '') {
    return NO_IDENTITY;
  }
  // saslname: "=2C" and "=3D" stand for "," and "="; no other use of "=" is valid.
  if (/=(?!2C|3D)/.test(header[1])) return MALFORMED;
  const name = header[1].replaceAll('=2C', ',').replaceAll('=3D', '=');
  const fields = keyValues(message, header[0].length);
  const login = canonicalLogin(Buffer.from(name, 'latin1'));
  // `user` is XOAUTH2's: a server that reads both forms with one reader would take the client for somebody else.
  if (fields === null || fields.has('user') || login === null || !isBearer(fields.get('auth')))
    return MALFORMED;
  return token('OAUTHBEARER', login, message);
}

function token(mechanism: 'XOAUTH2' | 'OAUTHBEARER', login: string, message: Buffer): Credentials {
  return { kind: 'token', mechanism, login, secret: new Secret(message.toString('latin1')) };
}

/** `key=value^A key=value^A ^A` up to the very end; each key once. Values are Latin-1. */
function keyValues(message: Buffer, from: number): ReadonlyMap<string, string> | null {
  const text = message.toString('latin1', from);
  if (!text.endsWith('\x01\x01')) return null;
  const fields = new Map<string, string>();
  for (const pair of text.slice(0, -2).split('\x01')) {
    const match = /^([A-Za-z]+)=([^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*)$/.exec(pair);
    const key = match?.[1]?.toLowerCase();
    if (key === undefined || fields.has(key)) return null;
    fields.set(key, match?.[2] ?? '');
  }
  return fields;
}

function isBearer(auth: string | undefined): boolean {
  return auth !== undefined && /^bearer +[A-Za-z0-9\-._~+/]+=*$/i.test(auth);
}

/** The message of `PLAIN` for the upstream; no authorization identity. */
export function plainMessage(credentials: Credentials): Buffer {
  return Buffer.concat([
    Buffer.from(`\x00${credentials.login}\x00`, 'utf8'),
    Buffer.from(credentials.secret.reveal(), 'latin1'),
  ]);
}

/** What tells one attempt to log in from another, with its secret; null: an exchange in which that does not travel. */
export function whatWasSaid(attempt: Credentials | { kind: 'relayed' }): string | null {
  return attempt.kind === 'relayed' ? null : `${attempt.login}\0${attempt.secret.reveal()}`;
}
