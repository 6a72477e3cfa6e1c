import type { SecureContext } from 'node:tls';
import { AddressGuard } from '../connections/address-guard.ts';
import { httpExchange } from '../connections/http-exchange.ts';
import { limits } from '../limits.ts';
import { Secret } from '../log/secret.ts';

/** The gateway's own access to a mail server by OAuth 2.0 (RFC 6749 §4.4, client credentials). */
export type TokenSettings = {
  /** https, and nothing else. */
  endpoint: URL;
  clientId: string;
  clientSecret: Secret;
  /** What the token is for; null: the endpoint knows. */
  scope: string | null;
  /** Who may vouch for the endpoint; null: the system's authorities. */
  tls: SecureContext | null;
  clock: () => Date;
};

/** `failed`: for people, without secrets. */
export type TokenOutcome = { kind: 'token'; token: Secret } | { kind: 'failed'; because: string };

/** Gets access tokens and keeps each until shortly before it expires. What several ask for at once is asked for once. */
export class TokenSource {
  readonly #settings: TokenSettings;
  #kept: { token: Secret; until: number } | null = null;
  #underWay: Promise<TokenOutcome> | null = null;

  constructor(settings: TokenSettings) {
    this.#settings = settings;
  }

  /** Never rejects. `isFresh`: the token has not been used yet. */
  async token(): Promise<TokenOutcome & { isFresh: boolean }> {
    const now = this.#settings.clock().getTime();
    const kept = this.#kept;
    // More than a token ever lives: the clock was set back.
    if (kept !== null && kept.until > now && kept.until - now <= LONGEST_MS) {
      return { kind: 'token', token: kept.token, isFresh: false };
    }
    this.#kept = null;
    this.#underWay ??= this.#ask().finally(() => {
      this.#underWay = null;
    });
    return { ...(await this.#underWay), isFresh: true };
  }

  /** A server did not accept it: the next one is asked for. */
  refused(token: Secret): void {
    if (this.#kept?.token === token) this.#kept = null;
  }

  async #ask(): Promise<TokenOutcome> {
    const { endpoint, clientId, clientSecret, scope, tls, clock } = this.#settings;
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret.reveal(),
      ...(scope === null ? {} : { scope }),
    });
    const answer = await httpExchange(
      {
        ...{ url: endpoint, tls, accept: 'application/json', maxOctets: limits.smtp.tokenOctets },
        body: { type: 'application/x-www-form-urlencoded', octets: Buffer.from(form.toString()) },
        signal: AbortSignal.timeout(limits.smtp.tokenTimeoutMs),
      },
      { guard: EVERYWHERE },
    );
    if (answer.kind === 'failed') return failed(endpoint, answer.text);
    if (answer.status !== 200) return failed(endpoint, `answered ${answer.status}.`);
    const read = readToken(answer.octets);
    if (read === null) return failed(endpoint, 'did not answer with a token.');
    const lifetime = Math.min(read.seconds * 1_000, LONGEST_MS);
    const margin = Math.min(MARGIN_MS, lifetime / 2);
    this.#kept = { token: read.token, until: clock().getTime() + lifetime - margin };
    return { kind: 'token', token: read.token };
  }
}

/** An administrator has named the endpoint. */
const EVERYWHERE = new AddressGuard(['0.0.0.0/0', '::/0']);
const LONGEST_MS = 24 * 3_600_000;
/** Before its end a token is not used any more. */
const MARGIN_MS = 120_000;
/** Of a token whose end nobody has told (RFC 6749 §5.1). */
const UNTOLD_SECONDS = 300;

/** RFC 6749 §5.1; null: there is no bearer token in it. */
export function readToken(octets: Buffer): { token: Secret; seconds: number } | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(octets.toString('utf8'));
  } catch {
    return null;
  }
  if (typeof parsed !== 'object' || parsed === null) return null;
  const fields = new Map<string, unknown>(Object.entries(parsed));
  const token = fields.get('access_token');
  const type = fields.get('token_type');
  // RFC 6750 §2.1: what else stood there would be read as another field of the login.
  if (typeof token !== 'string' || !/^[A-Za-z0-9\-._~+/]{1,32768}=*$/.test(token)) return null;
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') return null;
  const seconds = Number(fields.get('expires_in') ?? UNTOLD_SECONDS);
  return Number.isFinite(seconds) && seconds > 0 ? { token: new Secret(token), seconds } : null;
}

function failed({ host }: URL, text: string): TokenOutcome {
  return { kind: 'failed', because: `the token endpoint ${host} ${text}` };
}
