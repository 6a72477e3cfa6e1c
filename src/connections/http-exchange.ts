import { lookup } from 'node:dns/promises';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { SecureContext } from 'node:tls';
import { limits } from '../limits.ts';
import type { AddressGuard } from './address-guard.ts';

export type HttpRequest = {
  url: URL;
  /** Sent by POST; null: GET. */
  body: { type: string; octets: Buffer } | null;
  /** Media type that is asked for. */
  accept: string;
  maxOctets: number;
  /** Who may vouch for the server; null: the system's authorities. */
  tls: SecureContext | null;
  /** Ends the request, wherever it is. */
  signal: AbortSignal;
};

export type Exchanged =
  | {
      kind: 'answered';
      status: number;
      /** As it was written; '' where nothing is said. */
      contentType: string;
      /** Where a redirect leads, which nobody has judged; null: it is none. */
      location: string | null;
      /** Of a 200; else empty. */
      octets: Buffer;
    }
  /** `text` follows the place: "has no address that may be asked." */
  | { kind: 'failed'; text: string };

export type Address = { address: string; family: number };
/** All addresses of a name. Rejects where there is none. */
export type Resolver = (hostname: string) => Promise<readonly Address[]>;

const systemResolver: Resolver = (hostname) => lookup(hostname, { all: true });

/**
 * One request by HTTP and its answer, which is short.
 *
 * Holds: the name is resolved here, once for each connection, and the connection goes to an address that was judged,
 * whatever the name leads to a moment later; no redirect is followed; nothing is sent but
 * the request itself, no cookie, no login, no name of ours, and no proxy of the environment is used; compressed answers are
 * refused, so that what was counted is what comes out.
 * Never rejects: every failure is a result in words.
 */
export async function httpExchange(
  request: HttpRequest,
  { guard, resolve = systemResolver }: { guard: AddressGuard; resolve?: Resolver },
): Promise<Exchanged> {
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

function exchange(request: HttpRequest, addresses: readonly Address[]): Promise<Exchanged> {
  const { url, body, accept, signal } = request;
  // An agent of its own: the global one may have been given a proxy, and would keep connections to strangers.
  const [client, agent] =
    url.protocol === 'https:'
      ? [
          https,
          new https.Agent({
            keepAlive: false,
            ...(request.tls === null ? {} : { secureContext: request.tls }),
          }),
        ]
      : [http, new http.Agent({ keepAlive: false })];
  return new Promise((resolve, reject) => {
    const sent = client.request(url, {
      method: body === null ? 'GET' : 'POST',
      agent,
      lookup: onlyTo(addresses),
      maxHeaderSize: limits.httpClient.headerOctets,
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

async function read(response: IncomingMessage, maxOctets: number): Promise<Exchanged> {
  const { statusCode = 0, headers } = response;
  const { location } = headers;
  const answered = {
    kind: 'answered',
    status: statusCode,
    contentType: headers['content-type'] ?? '',
    location: [301, 302, 307, 308].includes(statusCode) && location !== undefined ? location : null,
    octets: Buffer.alloc(0),
  } as const;
  if (statusCode !== 200) return answered;
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
  return { ...answered, octets: Buffer.concat(parts) };
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

function failed(text: string): Extract<Exchanged, { kind: 'failed' }> {
  return { kind: 'failed', text };
}
