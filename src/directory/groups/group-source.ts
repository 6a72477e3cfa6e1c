import type { AddressKey } from '../address-key.ts';
import { filledIn, filledInForLogin } from '../ldap/filter-template.ts';
import { LdapSearch, type LdapSearchSettings } from '../ldap/search.ts';
import type { Askable } from '../remote/asked-source.ts';
import { isOneOfDomains } from '../remote/domains.ts';

/** An LDAP directory that is asked who is in a group. */
export type GroupSourceSettings = LdapSearchSettings & {
  name: string;
  /** Domains or `*.domain`, of whose addresses it knows; null: of every address. */
  domains: readonly string[] | null;
  /** How long an answer counts. */
  keptMs: number;
};

/** Whether a filter finds somebody; see filter-template.ts. */
export type MemberQuestion =
  | { kind: 'address'; filter: string; address: AddressKey }
  | { kind: 'login'; filter: string; login: string };

/** RFC 4511 §4.5.1.8: no attribute is asked for. */
const NOTHING = ['1.1'];

/** One search for each question: whoever is found is in the group. */
export class GroupSource implements Askable<MemberQuestion, boolean> {
  readonly name: string;
  readonly timeoutMs: number;
  readonly keptMs: number;
  readonly #domains: readonly string[] | null;
  readonly #search: LdapSearch;

  constructor(settings: GroupSourceSettings) {
    ({ name: this.name, timeoutMs: this.timeoutMs, keptMs: this.keptMs, domains: this.#domains } = settings);
    this.#search = new LdapSearch(settings);
  }

  /** Whether it may know an address, by what is configured. */
  covers({ domain }: AddressKey): boolean {
    return isOneOfDomains(this.#domains, domain);
  }

  async ask(question: MemberQuestion, signal: AbortSignal): Promise<boolean> {
    const { filter } = question;
    const filled =
      question.kind === 'address'
        ? filledIn(filter, question.address)
        : filledInForLogin(filter, question.login);
    return (await this.#search.entries(filled, NOTHING, signal)).length > 0;
  }
}
