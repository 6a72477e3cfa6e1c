import { isUtf8 } from 'node:buffer';
import { Secret } from '../log/secret.ts';

/**
 * Credentials as SASL mechanisms carry them, read just far enough to know whose they are.
 *
 * What never happens: the login that we take the client for differs from the one the upstream sees. Hence one identity per exchange
 * (no authorization identity of its own, no field twice), no NUL, no control character, no form that Unicode
 * would normalize to another name.
 */
export type Mechanism = 'PLAIN' | 'LOGIN' | 'XOAUTH2' | 'OAUTHBEARER';

export type Credentials =
  /** The secret is the password, one character per octet (Latin-1), because old clients do not write UTF-8. */
  | { kind: 'password'; mechanism: 'PLAIN' | 'LOGIN'; login: string; secret: Secret }
  /** The secret is the client's whole first message, one character per octet: it is passed on unchanged. */
  | { kind: 'token'; mechanism: 'XOAUTH2' | 'OAUTHBEARER'; login: string; secret: Secret };

export type SaslRefusal = { kind: 'refused'; why: string };

const MECHANISMS: readonly Mechanism[] = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'];

export function asMechanism(name: string): Mechanism | null {
  const upper = name.toUpperCase();
  return MECHANISMS.find((mechanism) => mechanism === upper) ?? null;
}

/** How to say to the upstream what the client said: the same mechanism, or PLAIN for LOGIN and the reverse. */
export function upstreamMechanism(client: Mechanism, upstream: readonly string[]): Mechanism | null {
  const offered = new Set(upstream.map((name) => name.toUpperCase()));
  if (offered.has(client)) return client;
  if (client === 'PLAIN' && offered.has('LOGIN')) return 'LOGIN';
  if (client === 'LOGIN' && offered.has('PLAIN')) return 'PLAIN';
  return null;
}

/** Ours ∩ the upstream's, conversions counted in. */
export function mechanismsToOffer(upstream: readonly string[]): readonly Mechanism[] {
  return MECHANISMS.filter((mechanism) => upstreamMechanism(mechanism, upstream) !== null);
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** RFC 4648 §4 with padding and nothing else; null where it is malformed. Unused bits must be zero (§3.5). */
export function decodeBase64(octets: Buffer): Buffer | null {
  const text = octets.toString('latin1');
  if (!BASE64.test(text)) return null;
  const decoded = Buffer.from(text, 'base64');
  return decoded.toString('base64') === text ? decoded : null;
}

const refused = (why: string): SaslRefusal => ({ kind: 'refused', why });
const MALFORMED = refused('The credentials are malformed');
const ON_BEHALF = refused('Logging in on behalf of another user is not supported');

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
  // LOGIN could carry a NUL, PLAIN cannot: it would end up as another user's name or password.
  if (login === null || secret.includes(0)) return MALFORMED;
  return password('LOGIN', login, secret);
}

function password(mechanism: 'PLAIN' | 'LOGIN', login: string, secret: Buffer): Credentials | SaslRefusal {
  if (secret.length === 0) return MALFORMED;
  return { kind: 'password', mechanism, login, secret: new Secret(secret.toString('latin1')) };
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
    return refused('OAUTHBEARER needs the user name in "a="');
  }
  // saslname: "=2C" and "=3D" stand for "," and "="; no other use of "=" is valid.
  if (/=(?!2C|3D)/.test(header[1])) return MALFORMED;
  const name = header[1].replaceAll('=2C', ',').replaceAll('=3D', '=');
  const fields = keyValues(message, header[0].length);
  const login = canonicalLogin(Buffer.from(name, 'latin1'));
  if (fields === null || login === null || !isBearer(fields.get('auth'))) return MALFORMED;
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

/** Longest login in octets. */
const MAX_LOGIN = 1_024;

/**
 * The form in which a login is looked up: as the client wrote it, ASCII letters of the domain in lower case. Null for what must not be
 * taken for anybody: not UTF-8, empty, control characters, blanks at the ends, or not in Unicode's form C, where two different
 * logins of the upstream could become one of ours.
 */
export function canonicalLogin(octets: Buffer): string | null {
  if (octets.length === 0 || octets.length > MAX_LOGIN || !isUtf8(octets)) return null;
  const login = octets.toString('utf8');
  if (/[\x00-\x1f\x7f-\x9f]/.test(login) || login.trim() !== login || login.normalize('NFC') !== login)
    return null;
  const at = login.lastIndexOf('@');
  return (
    login.slice(0, at + 1) +
    login.slice(at + 1).replace(/[A-Z]/g, (letter) => (at === -1 ? letter : letter.toLowerCase()))
  );
}

/** The message of `PLAIN` for the upstream; no authorization identity. */
export function plainMessage(credentials: Credentials): Buffer {
  return Buffer.concat([
    Buffer.from(`\x00${credentials.login}\x00`, 'utf8'),
    Buffer.from(credentials.secret.reveal(), 'latin1'),
  ]);
}
