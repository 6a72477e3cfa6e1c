import type { Credentials } from './credentials.ts';
import type { RelayedIdentity } from './relayed-identity.ts';

/**
 * The name under which keys are looked up. With a token it is the login only where the token does not name somebody
 * else: servers let a delegate open another user's mailbox with a token of his own, and the owner's keys are not for
 * the delegate. Then it is a name that nobody has keys under.
 */
export function principalLogin(credentials: Credentials | RelayedIdentity): string {
  const { login } = credentials;
  if (credentials.kind !== 'token') return login;
  const subjects = tokenSubjects(credentials.secret.reveal());
  const other = subjects.find((each) => each.toLowerCase() !== login.toLowerCase());
  return other === undefined ? login : `${login}*${other}`;
}

/** Whom a bearer token in JWT form (header.payload.signature) names. Read, not verified: the upstream does that. */
function tokenSubjects(message: string): string[] {
  // As wide as what is accepted as a token (RFC 6750 §2.1): written in another way it must not become unreadable here.
  const token = /\x01auth=bearer +([A-Za-z0-9\-._~+/]+)=*\x01/i.exec(message)?.[1];
  const payload = token?.split('.')[1];
  if (payload === undefined) return [];
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  } catch {
    // A token of another form; it names nobody that could be read.
    return [];
  }
  if (typeof claims !== 'object' || claims === null) return [];
  const named = new Map(Object.entries(claims));
  const texts = (names: readonly string[]): string[] =>
    names.map((name) => named.get(name)).filter((value) => typeof value === 'string' && value !== '');
  return SUBJECT_CLAIMS.map(texts).find((found) => found.length > 0) ?? [];
}

/** The first group that is there decides. Users can change what is in the last one, so all of it has to fit. */
const SUBJECT_CLAIMS: readonly (readonly string[])[] = [
  ['upn'],
  ['unique_name'],
  ['preferred_username', 'email'],
];
