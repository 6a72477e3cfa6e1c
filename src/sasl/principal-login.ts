import type { Credentials } from './credentials.ts';

/**
 * The name under which keys are looked up. With a token it is the login only where the token does not name somebody
 * else: servers let a delegate open another user's mailbox with a token of his own, and the owner's keys are not for
 * the delegate. Then it is a name that nobody has keys under.
 */
export function principalLogin(credentials: Credentials): string {
  const { login } = credentials;
  if (credentials.kind === 'password') return login;
  const subjects = tokenSubjects(credentials.secret.reveal());
  const own = subjects.length === 0 || subjects.some((each) => each.toLowerCase() === login.toLowerCase());
  return own ? login : `${login}*${subjects[0] ?? ''}`;
}

/** Whom a bearer token in JWT form (header.payload.signature) names. Read, not verified: the upstream does that. */
function tokenSubjects(message: string): string[] {
  const payload = /\x01auth=Bearer [\w-]+\.([\w-]+)\.[\w-]*\x01/i.exec(message)?.[1];
  if (payload === undefined) return [];
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  } catch {
    // A token of another form; it names nobody that could be read.
    return [];
  }
  if (typeof claims !== 'object' || claims === null) return [];
  return Object.entries(claims).flatMap(([name, value]) =>
    SUBJECT_CLAIMS.has(name) && typeof value === 'string' && value !== '' ? [value] : [],
  );
}

const SUBJECT_CLAIMS: ReadonlySet<string> = new Set(['upn', 'preferred_username', 'unique_name', 'email']);
