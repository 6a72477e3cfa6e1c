import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/**
 * The client of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: the password is proved and never sent, and the server proves
 * that it knows it too.
 */
export class ScramClient {
  readonly #bare: string;
  readonly #nonce: string;
  readonly #password: string;
  #serverSignature: Buffer | null = null;

  /** `nonce`: printable ASCII without a comma, never used before. */
  constructor(name: string, password: string, nonce: string) {
    this.#nonce = nonce;
    this.#password = prepared(password);
    const saslName = prepared(name).replaceAll('=', '=3D').replaceAll(',', '=2C');
    this.#bare = `n=${saslName},r=${nonce}`;
  }

  get first(): string {
    return `${GS2}${this.#bare}`;
  }

  /** The answer to the server's first message; null: it asks for what is not to be given. */
  async final(serverFirst: string): Promise<string | null> {
    const first = readServerFirst(serverFirst, this.#nonce);
    if (first === null) return null;
    const { nonce, salt, iterations } = first;
    const salted = await derive(this.#password, salt, iterations, 32, 'sha256');
    const withoutProof = `c=${Buffer.from(GS2).toString('base64')},r=${nonce}`;
    const authMessage = `${this.#bare},${serverFirst},${withoutProof}`;
    const clientKey = hmac(salted, 'Client Key');
    const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage);
    const proof = Buffer.from(clientKey.map((octet, i) => octet ^ (signature[i] ?? 0)));
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage);
    return `${withoutProof},p=${proof.toString('base64')}`;
  }

  /** Whether the server's last message proves that it knows the password. */
  isProof(serverFinal: string): boolean {
    const match = /^v=([A-Za-z0-9+/]{43}=)(?:,.*)?$/s.exec(serverFinal);
    if (match === null || this.#serverSignature === null) return false;
    const signature = Buffer.from(match[1] ?? '', 'base64');
    return (
      signature.length === this.#serverSignature.length && timingSafeEqual(signature, this.#serverSignature)
    );
  }
}

/**
 * `server-first-message` of RFC 5802 §7; null: it is none, or asks for what is not to be given.
 *
 * @param ours the nonce that the client has sent
 */
export function readServerFirst(
  text: string,
  ours: string,
): { nonce: string; salt: Buffer; iterations: number } | null {
  const match =
    /^r=([\x21-\x2b\x2d-\x7e]{1,512}),s=([A-Za-z0-9+/]{1,512}={0,2}),i=([1-9][0-9]{0,8})(?:,.*)?$/s.exec(
      text,
    );
  if (match === null) return null;
  const [, nonce = '', salt = '', count = ''] = match;
  const iterations = Number(count);
  // RFC 5802 §5: the server's nonce goes on from ours. RFC 7677 §4: fewer iterations would give the password away to who listens.
  if (!nonce.startsWith(ours) || nonce === ours) return null;
  if (iterations < LEAST_ITERATIONS || iterations > MOST_ITERATIONS) return null;
  return { nonce, salt: Buffer.from(salt, 'base64'), iterations };
}

const GS2 = 'n,,';
const LEAST_ITERATIONS = 4_096;
/** What takes about a second. */
const MOST_ITERATIONS = 2_000_000;

const derive = promisify(pbkdf2);

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** SASLprep (RFC 4013) as far as passwords in use need it: blanks that are none of ASCII's, what is invisible, and NFKC. */
function prepared(text: string): string {
  return text
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu, ' ')
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .normalize('NFKC');
}
