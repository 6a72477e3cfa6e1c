import { lookup } from 'node:dns/promises';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { limits } from '../limits.ts';
import type { AddressGuard } from './address-guard.ts';
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

export type Address = { address: string; family: number };
/** All addresses of a name. Rejects where there is none. */
export type Resolver = (hostname: string) => Promise<readonly Address[]>;

export type FetchRules = {
  guard: AddressGuard;
  ports: ReadonlySet<number>;
  resolve?: Resolver;
};

const systemResolver: Resolver = (hostname) => lookup(hostname, { all: true });

/**
 * Fetches a few octets from where a stranger's certificate says.
 *
 * Holds: the name is resolved here, once for each connection, and the connection goes to an address that was judged,
 * whatever the name leads to a moment later; redirects are few and each is judged like the first place; nothing is sent but
 * the request itself, no cookie, no login, no name of ours, and no proxy of the environment is used; compressed answers are
 * refused, so that what was counted is what comes out.
 * Never rejects: every failure is a result in words.
 */
export async function fetchOctets(request: FetchRequest, rules: FetchRules): Promise<Fetched> {
  let { url } = request;
  for (let redirects = 0; ; redirects++) {
    const answer = await once({ ...request, url }, rules);
    if (answer.kind !== 'elsewhere') return answer;
    if (redirects >= limits.revocation.redirects) return failed('redirects too often.');
    const place = placeOf(answer.location, url, rules.ports);
    if (place.kind === 'refused') return failed(`redirects to a place that ${place.text}`);
    ({ url } = place);
  }
}

type Answer = Fetched | { kind: 'elsewhere'; location: string };

async function once(request: FetchRequest, { guard, resolve = systemResolver }: FetchRules): Promise<Answer> {
  const { url, signal } = request;
  try {
    signal.throwIfAborted();
    const hostname = url.hostname.replace(/^\[|\]$/g, '');
    const found = isIP(hostname) === 0 ? await orAborted(resolve(hostname), signal) : [literal(hostname)];
    const addresses = found.filter(({ address }) => guard.permits(address));
    if (addresses.length === 0) return failed('has no address that may be asked.');
    return await orAborted(exchange(request, addresses), signal);
  } catch (error) {
    return failed(signal.aborted ? 'did not answer in time.' : `cannot be reached (${codeOf(error)}).`);
  }
}

function exchange(request: FetchRequest, addresses: readonly Address[]): Promise<Answer> {
  const { url, body, accept, signal } = request;
  const client = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const sent = client.request(url, {
      method: body === null ? 'GET' : 'POST',
      // An agent of its own: the global one may have been given a proxy, and would keep connections to strangers.
      agent: new client.Agent({ keepAlive: false }),
      lookup: onlyTo(addresses),
      maxHeaderSize: limits.revocation.headerOctets,
      insecureHTTPParser: false,
      signal,
      headers: {
        accept,
        'accept-encoding': 'identity',
        ...(body === null ? {} : { 'content-type': body.type, 'content-length': body.octets.length }),
      },
    });
    let isAnswered = false;
    sent.on('error', reject);
    // Node ends a connection that turns into something else and tells nobody but this event.
    sent.on('close', () => {
      if (!isAnswered) reject(new Error('the connection ended before an answer came'));
    });
    sent.on('response', (response) => {
      isAnswered = true;
      // Only what was read whole counts; a second answer cannot change the first.
      read(response, request.maxOctets)
        .then(resolve, reject)
        .finally(() => sent.destroy());
    });
    sent.end(body?.octets);
  });
}

/** Gives the addresses that were judged, whatever the name leads to by now. */
function onlyTo(addresses: readonly Address[]): LookupFunction {
  return (_hostname, options, callback) => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first?.address ?? '', first?.family);
  };
}

async function read(response: IncomingMessage, maxOctets: number): Promise<Answer> {
  const { statusCode = 0, headers } = response;
  const { location } = headers;
  if ([301, 302, 307, 308].includes(statusCode) && location !== undefined) {
    return { kind: 'elsewhere', location };
  }
  if (statusCode !== 200) return failed(`answers with HTTP status ${statusCode}.`);
  if (
    !isPlain(headers['content-encoding'], 'identity') ||
    !isPlain(headers['transfer-encoding'], 'chunked')
  ) {
    return failed('answers in an encoding that was not asked for.');
  }
  const tooLong = failed(`answers with more than ${maxOctets} octets.`);
  if (Number(headers['content-length'] ?? 0) > maxOctets) return tooLong;
  const parts: Buffer[] = [];
  let octets = 0;
  for await (const part of response) {
    octets += part.length;
    if (octets > maxOctets) return tooLong;
    parts.push(part);
  }
  return { kind: 'fetched', octets: Buffer.concat(parts) };
}

function isPlain(value: string | undefined, plain: string): boolean {
  return value === undefined || value.trim().toLowerCase() === plain;
}

function literal(address: string): Address {
  return { address, family: isIP(address) };
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** Codes of Node and of the system say enough; messages may hold names of strangers. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^[A-Z0-9_]{1,60}$/.test(code) ? code : 'no reason given';
}

function failed(text: string): Extract<Fetched, { kind: 'failed' }> {
  return { kind: 'failed', text };
}
