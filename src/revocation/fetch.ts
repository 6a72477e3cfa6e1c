import type { AddressGuard } from '../connections/address-guard.ts';
import { type Exchanged, httpExchange, type Resolver } from '../connections/http-exchange.ts';
import { limits } from '../limits.ts';
import { placeOf } from './place.ts';

export type FetchRequest = {
  /** Judged by placeOf already. */
  url: URL;
  /** Sent by POST; null: GET. */
  body: { type: string; octets: Buffer } | null;
  /** Media type that is asked for. What comes is judged by its octets. */
  accept: string;
  maxOctets: number;
  /** Ends the fetch, wherever it is. */
  signal: AbortSignal;
};

/** `text` follows the place: "has no address that may be asked." */
export type Fetched = { kind: 'fetched'; octets: Buffer } | { kind: 'failed'; text: string };

export type FetchRules = {
  guard: AddressGuard;
  ports: ReadonlySet<number>;
  resolve?: Resolver;
};

/**
 * Fetches a few octets from where a stranger's certificate says (http-exchange.ts has what holds of each request). Redirects are few, and
 * each is judged like the first place. Never rejects: every failure is a result in words.
 */
export async function fetchOctets(request: FetchRequest, rules: FetchRules): Promise<Fetched> {
  let { url } = request;
  for (let redirects = 0; ; redirects++) {
    const answer = await httpExchange({ ...request, url, tls: null }, rules);
    if (answer.kind === 'failed') return answer;
    if (answer.location === null) return octetsOf(answer);
    if (redirects >= limits.revocation.redirects) return failed('redirects too often.');
    const place = placeOf(answer.location, url, rules.ports);
    if (place.kind === 'refused') return failed(`redirects to a place that ${place.text}`);
    ({ url } = place);
  }
}

function octetsOf({ status, octets }: Exclude<Exchanged, { kind: 'failed' }>): Fetched {
  return status === 200 ? { kind: 'fetched', octets } : failed(`answers with HTTP status ${status}.`);
}

function failed(text: string): Extract<Fetched, { kind: 'failed' }> {
  return { kind: 'failed', text };
}
