import { isIP } from 'node:net';
import type { SecureContext } from 'node:tls';
import { AddressGuard } from '../../connections/address-guard.ts';
import { type Exchanged, httpExchange, type Resolver } from '../../connections/http-exchange.ts';
import { limits } from '../../limits.ts';
import type { Clock } from '../../pipeline/ports.ts';
import type { AddressKey } from '../address-key.ts';
import { isOneOfDomains } from '../remote/domains.ts';
import { certificatesIn } from '../remote/found-certificates.ts';
import type { RemoteAnswer, RemoteSettings, RemoteSource } from '../remote/remote-source.ts';
import { httpAnswer, storeValues } from './answer.ts';

/** A certificate store that is asked by HTTP. */
export type HttpStoreSettings = RemoteSettings & {
  /** Where it is asked, with whatever it wants besides the question. */
  url: URL;
  /** Who may vouch for it; null: the system's authorities. */
  tls: SecureContext | null;
  /** Addresses that may be asked although they are not public; what `url` says itself may be. */
  allowAddresses: readonly string[];
};

const ACCEPTED = 'application/pkix-cert, multipart/mixed, application/pkcs7-mime';
const LOOPBACK = ['127.0.0.0/8', '::1'];

/** Asks an HTTP certificate store (RFC 4387) for the certificates of an address. */
export class HttpStoreSource implements RemoteSource {
  readonly kind = 'http-store';
  readonly name: string;
  readonly trust: RemoteSource['trust'];
  readonly optional: boolean;
  readonly timeoutMs: number;
  readonly #settings: HttpStoreSettings;
  readonly #clock: Clock;
  readonly #postQuantum: boolean;
  readonly #guard: AddressGuard;
  readonly #resolve: Resolver | undefined;

  constructor(
    settings: HttpStoreSettings,
    { clock, postQuantum, resolve }: { clock: Clock; postQuantum: boolean; resolve?: Resolver },
  ) {
    ({ name: this.name, trust: this.trust, optional: this.optional, timeoutMs: this.timeoutMs } = settings);
    this.#settings = settings;
    this.#clock = clock;
    this.#postQuantum = postQuantum;
    this.#guard = new AddressGuard([...settings.allowAddresses, ...addressesOf(settings.url)]);
    this.#resolve = resolve;
  }

  covers({ domain }: AddressKey): boolean {
    return isOneOfDomains(this.#settings.domains, domain);
  }

  async ask({ exact }: AddressKey, signal: AbortSignal): Promise<RemoteAnswer> {
    const answer = await this.#get(questionAt(this.#settings.url, exact), signal);
    // RFC 4387 §2: how a store says that it has none.
    if (answer.status === 404) return { certificates: [], chain: [], passedOver: 0 };
    if (answer.status !== 200) throw httpAnswer(`it answers with HTTP status ${answer.status}`);
    const values = storeValues(answer.contentType, answer.octets);
    return certificatesIn(values, exact, this.#clock(), this.#postQuantum);
  }

  /** Redirects are followed within the host, and never to a place without TLS. */
  async #get(question: URL, signal: AbortSignal): Promise<Extract<Exchanged, { kind: 'answered' }>> {
    const { tls } = this.#settings;
    let url = question;
    for (let redirects = 0; ; redirects++) {
      const answer = await httpExchange(
        { ...{ url, body: null, accept: ACCEPTED, maxOctets: limits.httpStore.octets, tls, signal } },
        { guard: this.#guard, ...(this.#resolve === undefined ? {} : { resolve: this.#resolve }) },
      );
      if (answer.kind === 'failed') throw httpAnswer(`it ${answer.text}`);
      if (answer.location === null) return answer;
      if (redirects >= limits.httpStore.redirects) throw httpAnswer('it redirects too often');
      const next = URL.parse(answer.location, url);
      if (next === null || !isWithinHost(next, url)) throw httpAnswer('it redirects to another place');
      url = next;
    }
  }
}

/** RFC 4387 §2.1: the attribute `email`, beside what the place of the store says already. */
function questionAt(place: URL, address: string): URL {
  const url = new URL(place);
  url.search = `${url.search === '' ? '?' : `${url.search}&`}email=${escaped(address)}`;
  return url;
}

/** RFC 3986 §2.3: whatever is not unreserved, so that an address is never more than a value. */
function escaped(address: string): string {
  return encodeURIComponent(address).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function isWithinHost(next: URL, from: URL): boolean {
  if (next.hostname !== from.hostname || next.username !== '' || next.password !== '') return false;
  const toTls = from.protocol === 'http:' && next.protocol === 'https:' && next.port === '';
  return next.origin === from.origin || toTls;
}

function addressesOf({ hostname }: URL): readonly string[] {
  const plain = hostname.replace(/^\[|\]$/g, '');
  if (isIP(plain) !== 0) return [plain];
  return plain === 'localhost' ? LOOPBACK : [];
}
