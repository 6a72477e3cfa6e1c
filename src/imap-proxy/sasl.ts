/**
 * What a client proves itself with. `login` is who it says it is; only the upstream's word makes a principal of it.
 */
export type Credentials =
  | { kind: 'password'; login: string; password: Buffer }
  /** The client's initial response, handed on as it is. */
  | { kind: 'token'; mechanism: 'XOAUTH2' | 'OAUTHBEARER'; login: string; response: Buffer };

export type CredentialProblem = 'malformed' | 'other-identity' | 'no-identity';

/** RFC 4616 §2: message = [authzid] UTF8NUL authcid UTF8NUL passwd */
export function readPlain(response: Buffer): Credentials | CredentialProblem {
  const first = response.indexOf(0);
  const second = response.indexOf(0, first + 1);
  if (first === -1 || second === -1 || response.indexOf(0, second + 1) !== -1) return 'malformed';
  const authzid = response.subarray(0, first);
  const authcid = response.subarray(first + 1, second);
  // Acting for somebody else would use the keys of one and the mailbox of the other.
  if (authzid.length > 0 && !authzid.equals(authcid)) return 'other-identity';
  return readPassword(authcid, response.subarray(second + 1));
}

/** Login and password as octets. */
export function readPassword(login: Buffer, password: Buffer): Credentials | CredentialProblem {
  const text = readLogin(login);
  if (text === null || /[\r\n\0]/.test(password.toString('latin1'))) return 'malformed';
  return { kind: 'password', login: text, password };
}

/** `user=` login ^A `auth=Bearer ` token ^A ^A */
export function readXoauth2(response: Buffer): Credentials | CredentialProblem {
  const found = /^user=([^\x01]*)\x01auth=Bearer [\x20-\x7e]+\x01\x01$/i.exec(response.toString('latin1'));
  return found === null ? 'malformed' : token('XOAUTH2', found[1] ?? '', response);
}

/** RFC 7628 §3.1, with the GS2 header of RFC 5801 §4: `n,a=` login `,` ^A *(key=value ^A) ^A */
export function readOauthBearer(response: Buffer): Credentials | CredentialProblem {
  const text = response.toString('latin1');
  const found = /^n,(?:a=([^,\x00\x01]*))?,\x01(?:[A-Za-z]+=[^\x00\x01]*\x01)*\x01$/.exec(text);
  if (found === null) return 'malformed';
  if (!/\x01auth=Bearer [\x20-\x7e]+\x01/i.test(text)) return 'malformed';
  // saslname: "," and "=" are written =2C and =3D (RFC 5801 §4)
  const login = (found[1] ?? '').replace(/=2C/g, ',').replace(/=3D/g, '=');
  return token('OAUTHBEARER', login, response);
}

function token(
  mechanism: 'XOAUTH2' | 'OAUTHBEARER',
  latin1Login: string,
  response: Buffer,
): Credentials | CredentialProblem {
  if (latin1Login === '') return 'no-identity';
  const login = readLogin(Buffer.from(latin1Login, 'latin1'));
  return login === null ? 'malformed' : { kind: 'token', mechanism, login, response };
}

function readLogin(octets: Buffer): string | null {
  const text = octets.toString('utf8');
  const exact = Buffer.from(text, 'utf8').equals(octets);
  return exact && text !== '' && text.length <= 320 && !/\p{Cc}/u.test(text) ? text : null;
}

/**
 * The name under which keys are looked up. With a token it is the login only where the token does not name somebody
 * else: servers let a delegate open another user's mailbox with a token of his own, and the owner's keys are not for
 * the delegate. Then it is a name that nobody has keys under.
 */
export function principalLogin(credentials: Credentials): string {
  const login = canonicalLogin(credentials.login);
  if (credentials.kind === 'password') return login;
  const subjects = tokenSubjects(credentials.response).map(canonicalLogin);
  const own = subjects.length === 0 || subjects.some((each) => each.toLowerCase() === login.toLowerCase());
  return own ? login : `${login}*${subjects[0] ?? ''}`;
}

/** Whom a bearer token in JWT form (header.payload.signature) names. Read, not verified: the upstream does that. */
function tokenSubjects(response: Buffer): string[] {
  const payload = /\x01auth=Bearer [\w-]+\.([\w-]+)\.[\w-]*\x01/i.exec(response.toString('latin1'))?.[1];
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

/** As written, the domain in lower case. Nothing is trimmed or added. */
export function canonicalLogin(login: string): string {
  const at = login.lastIndexOf('@');
  return at === -1 ? login : login.slice(0, at + 1) + login.slice(at + 1).toLowerCase();
}

/** base64 of RFC 4648 §4, strict; `=` alone is the empty string (RFC 4959 §3). null: not base64. */
export function decodeBase64(text: string): Buffer | null {
  if (text === '=') return Buffer.alloc(0);
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return null;
  return Buffer.from(text, 'base64');
}
