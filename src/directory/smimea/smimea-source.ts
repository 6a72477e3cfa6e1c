import { DnsResolver, type DnsServer } from '../../dns/resolver.ts';
import type { Clock } from '../../pipeline/ports.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { smimeaName } from '../../pki/smimea-name.ts';
import type { AddressKey } from '../address-key.ts';
import { isOneOfDomains } from '../remote/domains.ts';
import type { RemoteAnswer, RemoteSettings, RemoteSource } from '../remote/remote-source.ts';
import { smimeaAnswer } from './answer.ts';

/** DNS that is asked for the certificates that a domain says there. */
export type SmimeaSettings = Omit<RemoteSettings, 'trust'> & {
  /** Asked in this order; what they say of DNSSEC is believed. */
  resolvers: readonly DnsServer[];
  /** How much is trusted what DNSSEC does not vouch for. */
  withoutDnssec: 'ignore' | RemoteSource['trust'];
};

/** RFC 8162 §8. */
const SMIMEA = 53;

/** Asks DNS for the SMIMEA records of an address (RFC 8162). */
export class SmimeaSource implements RemoteSource {
  readonly kind = 'smimea';
  readonly name: string;
  readonly trust: RemoteSource['trust'];
  readonly optional: boolean;
  readonly timeoutMs: number;
  readonly #settings: SmimeaSettings;
  readonly #clock: Clock;
  readonly #postQuantum: boolean;
  readonly #intermediates: readonly Certificate[];
  readonly #resolver: DnsResolver;

  constructor(
    settings: SmimeaSettings,
    {
      clock,
      postQuantum,
      intermediates,
    }: { clock: Clock; postQuantum: boolean; intermediates: readonly Certificate[] },
  ) {
    ({ name: this.name, optional: this.optional, timeoutMs: this.timeoutMs } = settings);
    this.trust = settings.withoutDnssec === 'ignore' ? 'harvested' : settings.withoutDnssec;
    this.#settings = settings;
    this.#clock = clock;
    this.#postQuantum = postQuantum;
    this.#intermediates = intermediates;
    // Before everybody has stopped waiting, so that it can be said whether the resolver or the domain is silent.
    this.#resolver = new DnsResolver(settings.resolvers, settings.timeoutMs * 0.9);
  }

  covers({ exact, domain }: AddressKey): boolean {
    return isOneOfDomains(this.#settings.domains, domain) && smimeaName(exact) !== null;
  }

  async ask({ exact }: AddressKey, signal: AbortSignal): Promise<RemoteAnswer> {
    const name = smimeaName(exact);
    if (name === null) return { certificates: [], chain: [], passedOver: 0 };
    const answer = await this.#resolver.ask({ name, type: SMIMEA }, signal);
    return smimeaAnswer(answer, {
      ...{ address: exact, at: this.#clock(), postQuantum: this.#postQuantum },
      withoutDnssec: this.#settings.withoutDnssec === 'ignore' ? 'ignore' : 'take',
      intermediates: this.#intermediates,
    });
  }
}
