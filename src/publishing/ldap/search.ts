import { parseDn, relativeDn } from '../../pki/dn.ts';
import type { PublishedPeople, PublishedPerson } from '../published-people.ts';
import { type Entry, entryOf, plainEntry, sentEntry } from './entry.ts';
import { canName, match, type Naming, type PreparedFilter, prepared } from './matching.ts';
import type { SearchRequest } from './request.ts';
import { type Result, type SentEntry, SUCCESS } from './response.ts';

/**
 * Searches among the people who are published.
 *
 * Holds: an entry is found by who knows part of its name (matching.ts), however a filter is put; there are never more than `maxResults`.
 */
export type SearchSettings = {
  /** Distinguished name below which people are. */
  base: string;
  naming: Naming;
  maxResults: number;
};

export type SearchAnswer = { entries: readonly SentEntry[]; people: number; result: Result };

/** What a client is told of the server itself (RFC 4512 §5.1). */
export type ServerFacts = { extensions: readonly string[]; vendor: string };

export class PublishedSearch {
  readonly #people: PublishedPeople;
  readonly #settings: SearchSettings;
  readonly #base: readonly string[];
  #entriesOf: readonly PublishedPerson[] | null = null;
  #entries: readonly Entry[] = [];

  /** Precondition: the base is a distinguished name. */
  constructor(people: PublishedPeople, settings: SearchSettings) {
    this.#people = people;
    this.#settings = settings;
    this.#base = parseDn(settings.base) ?? [];
  }

  /** @param mayGive how many people this client may still be told of */
  async answer(request: SearchRequest, facts: ServerFacts, mayGive: number): Promise<SearchAnswer> {
    const dn = request.base === null ? null : parseDn(request.base);
    if (dn === null) return refused('invalidDNSyntax', 'The search base is not a distinguished name.');
    if (dn.length === 0 && request.scope === 'base') return about(this.#rootEntry(request, facts));
    // Address books often have no search base; there is but one here.
    const place = dn.length === 0 ? 'base' : this.#placeOf(dn);
    if (place === null) return refused('noSuchObject', `The search base here is ${this.#settings.base}`);
    if (place === 'base' && request.scope === 'base') return about(this.#baseEntry(request));
    const filter = prepared(request.filter);
    if (place === 'base') return await this.#search(request, filter, mayGive);
    const { scope } = request;
    const entry = scope === 'one' ? undefined : this.#all().find((each) => isEntry(each, place));
    return entry === undefined
      ? refused('noSuchObject', 'There is no such entry.')
      : await this.#give(
          request,
          match(filter, entry, this.#settings.naming).holds === true ? [entry] : [],
          mayGive,
        );
  }

  async #search(request: SearchRequest, filter: PreparedFilter, mayGive: number): Promise<SearchAnswer> {
    const { naming } = this.#settings;
    // An empty answer would look as if there were nobody.
    if (!canName(filter, naming)) return refused('adminLimitExceeded', this.#whoIsFound());
    const found: Entry[] = [];
    let turn = performance.now();
    for (const entry of this.#all()) {
      if (performance.now() - turn > TURN_MS) {
        await new Promise(setImmediate);
        turn = performance.now();
      }
      if (match(filter, entry, naming).names) found.push(entry);
    }
    return await this.#give(request, found, mayGive);
  }

  async #give(request: SearchRequest, found: readonly Entry[], mayGive: number): Promise<SearchAnswer> {
    const { maxResults } = this.#settings;
    const most = request.sizeLimit === 0 ? maxResults : Math.min(request.sizeLimit, maxResults);
    const entries: SentEntry[] = [];
    for (const entry of found) {
      const certificates = await this.#people.current(entry.person);
      if (certificates.length === 0) continue;
      if (entries.length >= mayGive) {
        const text = 'Your address has asked for many people; ask again later.';
        return { entries, people: entries.length, result: { code: 'busy', text } };
      }
      if (entries.length >= most) {
        const text = 'There are more; say more of the name.';
        return { entries, people: entries.length, result: { code: 'sizeLimitExceeded', text } };
      }
      entries.push(sentEntry(entry, certificates, request.attributes, request.typesOnly));
    }
    return { entries, people: entries.length, result: SUCCESS };
  }

  #all(): readonly Entry[] {
    const people = this.#people.all;
    if (this.#entriesOf !== people) {
      this.#entriesOf = people;
      this.#entries = people.map((person) => entryOf(person, this.#settings.base));
    }
    return this.#entries;
  }

  /** The base itself, or the one relative name below it; null: elsewhere. */
  #placeOf(dn: readonly string[]): 'base' | { relative: string } | null {
    const above = dn.slice(dn.length - this.#base.length);
    const isBelow = dn.length >= this.#base.length && above.every((name, i) => name === this.#base[i]);
    const [relative, ...others] = dn.slice(0, dn.length - this.#base.length);
    if (!isBelow || others.length > 0) return null;
    return relative === undefined ? 'base' : { relative };
  }

  #whoIsFound(): string {
    const { letters } = this.#settings.naming;
    return letters === null
      ? 'Only a whole mail address is found, as by (mail=somebody@example.org).'
      : `Say at least ${letters} letters of a name or of an address before the @.`;
  }

  #rootEntry({ attributes, typesOnly }: SearchRequest, { extensions, vendor }: ServerFacts): SentEntry {
    const root = [
      { type: 'objectClass', values: ['top'] },
      { type: 'namingContexts', values: [this.#settings.base] },
      { type: 'supportedLDAPVersion', values: ['3'] },
      { type: 'supportedExtension', values: extensions },
      { type: 'vendorName', values: [vendor] },
    ];
    return plainEntry('', root, attributes, typesOnly);
  }

  #baseEntry({ attributes, typesOnly }: SearchRequest): SentEntry {
    const [first = ''] = this.#base;
    const type = first.slice(0, first.indexOf('='));
    const value = first.slice(first.indexOf('=') + 1);
    const entry = [
      { type: 'objectClass', values: ['top', 'extensibleObject'] },
      ...(first === '' || first.includes('+') ? [] : [{ type, values: [value] }]),
    ];
    return plainEntry(this.#settings.base, entry, attributes, typesOnly);
  }
}

/** Milliseconds that one search keeps all others waiting. */
const TURN_MS = 5;

function isEntry({ person }: Entry, { relative }: { relative: string }): boolean {
  return parseDn(relativeDn('mail', person.address))?.[0] === relative;
}

function about(entry: SentEntry): SearchAnswer {
  return { entries: [entry], people: 0, result: SUCCESS };
}

function refused(code: Result['code'], text: string): SearchAnswer {
  return { entries: [], people: 0, result: { code, text } };
}
