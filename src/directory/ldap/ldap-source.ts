import type { Clock } from '../../pipeline/ports.ts';
import type { AddressKey } from '../address-key.ts';
import { isOneOfDomains } from '../remote/domains.ts';
import { certificatesIn } from '../remote/found-certificates.ts';
import type { RemoteAnswer, RemoteSettings, RemoteSource } from '../remote/remote-source.ts';
import { filledIn } from './filter-template.ts';
import { LdapSearch, type LdapSearchSettings } from './search.ts';

/** An LDAP directory that is asked for certificates. */
export type LdapSettings = LdapSearchSettings &
  RemoteSettings & {
    /** See filter-template.ts. */
    filter: string;
    attributes: readonly string[];
  };

/** Asks an LDAP directory for the certificates of an address: whatever entries its filter finds, and the values of its attributes. */
export class LdapSource implements RemoteSource {
  readonly kind = 'ldap';
  readonly name: string;
  readonly trust: RemoteSource['trust'];
  readonly optional: boolean;
  readonly timeoutMs: number;
  readonly #settings: LdapSettings;
  readonly #clock: Clock;
  readonly #postQuantum: boolean;
  readonly #search: LdapSearch;

  constructor(settings: LdapSettings, clock: Clock, postQuantum: boolean) {
    ({ name: this.name, trust: this.trust, optional: this.optional, timeoutMs: this.timeoutMs } = settings);
    this.#settings = settings;
    this.#clock = clock;
    this.#postQuantum = postQuantum;
    this.#search = new LdapSearch(settings);
  }

  covers({ domain }: AddressKey): boolean {
    return isOneOfDomains(this.#settings.domains, domain);
  }

  async ask(key: AddressKey, signal: AbortSignal): Promise<RemoteAnswer> {
    const { filter, attributes } = this.#settings;
    const entries = await this.#search.entries(filledIn(filter, key), bothForms(attributes), signal);
    const wanted = new Set(attributes.map(plainName));
    const values = entries.flatMap((entry) =>
      Object.entries(entry).flatMap(([name, value]) =>
        wanted.has(plainName(name)) ? [value].flat().filter((one) => Buffer.isBuffer(one)) : [],
      ),
    );
    const distinct = [...new Map(values.map((value) => [value.toString('latin1'), value])).values()];
    return certificatesIn(distinct, key.exact, this.#clock(), this.#postQuantum);
  }
}

/**
 * RFC 4523 §2.1 wants `;binary` for userCertificate. Servers keep userSMIMECertificate by either name, and give what was asked for by
 * one of them under the other, or not at all.
 */
function bothForms(attributes: readonly string[]): string[] {
  return [...new Set(attributes.map(plainName))].flatMap((name) => [name, `${name};binary`]);
}

function plainName(attribute: string): string {
  return attribute.toLowerCase().replace(/;binary$/, '');
}
