import { setTimeout as pause } from 'node:timers/promises';
import { parseDn } from '../../pki/dn.ts';
import type { PublishedPeople, PublishedPerson } from '../published-people.ts';
import { type Entry, entryOf, plainEntry, sentEntry } from './entry.ts';
import type { Allowance } from './given-entries.ts';
import {
  addressesIn,
  canName,
  match,
  type Naming,
  namesTried,
  type PreparedFilter,
  prepared,
} from './matching.ts';
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

export type SearchAnswer = { entries: readonly SentEntry[]; result: Result };

/** What a client is told of the server itself (RFC 4512 §5.1). */
export type ServerFacts = { extensions: readonly string[]; vendor: string };

export class PublishedSearch {
  readonly #people: PublishedPeople;
  readonly #settings: SearchSettings;
  readonly #base: readonly string[];
  #entriesOf: readonly PublishedPerson[] | null = null;
  #entries: readonly Entry[] = [];
  #byAddress: ReadonlyMap<string, readonly Entry[]> = new Map();
  /** Searches through everybody come one after another. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Precondition: the base is a distinguished name. */
  constructor(people: PublishedPeople, settings: SearchSettings) {
    this.#people = people;
    this.#settings = settings;
    this.#base = parseDn(settings.base) ?? [];
  }

  /** @param client counts the names that it tries, whoever there is, and the people beyond these that it is told of */
  async answer(request: SearchRequest, facts: ServerFacts, client: Allowance): Promise<SearchAnswer> {
    const dn = request.base === null ? null : parseDn(request.base);
    if (dn === null) return refused('invalidDNSyntax', 'The search base is not a distinguished name.');
    if (dn.length === 0 && request.scope === 'base') return about(this.#rootEntry(request, facts));
    // Address books often have no search base; there is but one here.
    const place = dn.length === 0 ? 'base' : this.#placeOf(dn);
    if (place === null) return refused('noSuchObject', `The search base here is ${this.#settings.base}`);
    if (place === 'base' && request.scope === 'base') return about(this.#baseEntry(request));
    const filter = prepared(request.filter, this.#settings.naming);
    // An empty answer would look as if there were nobody.
    if (place === 'base' && !canName(filter)) return refused('adminLimitExceeded', this.#whoIsFound());
    const tried = place === 'base' ? namesTried(filter) : 1;
    // Before anybody is looked for: it must not tell who there is.
    if (!client.take(tried)) return refused('busy', ASKED_FOR_MANY);
    const counted = { client, tried };
    if (place === 'base') return await this.#search(request, filter, counted);
    const found = request.scope === 'one' ? [] : this.#named(place.relative);
    const answer = await this.#give(
      request,
      found.filter((entry) => match(filter, entry).holds === true),
      counted,
    );
    // Whether an entry is there at all shows only by being found.
    return answer.entries.length === 0 ? refused('noSuchObject', 'There is no such entry.') : answer;
  }

  async #search(request: SearchRequest, filter: PreparedFilter, counted: Counted): Promise<SearchAnswer> {
    const addresses = addressesIn(filter);
    const found = addresses === null ? await this.#among(filter) : this.#at(addresses, filter);
    return await this.#give(request, found, counted);
  }

  /** By a relative name in its parsed form. */
  #named(relative: string): readonly Entry[] {
    this.#all();
    return relative.startsWith('mail=') ? (this.#byAddress.get(relative.slice('mail='.length)) ?? []) : [];
  }

  #at(addresses: readonly string[], filter: PreparedFilter): readonly Entry[] {
    this.#all();
    const entries = new Set(addresses.flatMap((address) => this.#byAddress.get(address) ?? []));
    return [...entries].filter((entry) => match(filter, entry).names);
  }

  /** Looks at everybody. What mail needs goes on meanwhile, however many search. */
  async #among(filter: PreparedFilter): Promise<readonly Entry[]> {
    const search = async (): Promise<readonly Entry[]> => {
      const found: Entry[] = [];
      let begin = performance.now();
      for (const entry of this.#all()) {
        if (performance.now() - begin > WORK_MS) {
          await pause(REST_MS);
          begin = performance.now();
        }
        if (match(filter, entry).names) found.push(entry);
      }
      return found;
    };
    const found = this.#turn.then(search);
    this.#turn = found.catch(() => undefined);
    return await found;
  }

  async #give(
    request: SearchRequest,
    found: readonly Entry[],
    { client, tried }: Counted,
  ): Promise<SearchAnswer> {
    const { maxResults } = this.#settings;
    const most = request.sizeLimit === 0 ? maxResults : Math.min(request.sizeLimit, maxResults);
    const entries: SentEntry[] = [];
    const answer = (code: Result['code'], text: string): SearchAnswer => ({
      entries,
      result: { code, text },
    });
    for (let at = 0; at < found.length; at += AT_ONCE) {
      const some = found.slice(at, at + AT_ONCE);
      const certificates = await Promise.all(some.map(({ person }) => this.#people.current(person)));
      for (const [i, entry] of some.entries()) {
        const own = certificates[i] ?? [];
        if (own.length === 0) continue;
        if (entries.length >= most)
          return answer('sizeLimitExceeded', 'There are more; say more of the name.');
        if (entries.length >= tried && !client.take(1)) return answer('busy', ASKED_FOR_MANY);
        entries.push(sentEntry(entry, own, request.attributes, request.typesOnly));
      }
    }
    return { entries, result: SUCCESS };
  }

  #all(): readonly Entry[] {
    const people = this.#people.all;
    if (this.#entriesOf !== people) {
      this.#entriesOf = people;
      this.#entries = people.map((person) => entryOf(person, this.#settings.base));
      this.#byAddress = Map.groupBy(this.#entries, ({ compared }) => compared.get('mail')?.[0] ?? '');
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

/** What a search has been counted as already. */
type Counted = { client: Allowance; tried: number };

const ASKED_FOR_MANY = 'Your address has asked for many people; ask again later.';

/** Milliseconds that a search works at a stretch, and then leaves to others. */
const WORK_MS = 5;
const REST_MS = 5;
/** People whose certificates are looked at together: revocation may have to be asked for. */
const AT_ONCE = 25;

function about(entry: SentEntry): SearchAnswer {
  return { entries: [entry], result: SUCCESS };
}

function refused(code: Result['code'], text: string): SearchAnswer {
  return { entries: [], result: { code, text } };
}
