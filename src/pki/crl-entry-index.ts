import { contentOffset, type Element, isUniversal, universal } from '../asn1/element.ts';
import { readElement } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { timeValue } from '../asn1/times.ts';
import { integerOctets } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { parseExtensions } from './certificate-extensions.ts';
import { type EntryExtensions, noEntryExtensions, readEntryExtensions } from './crl-extensions.ts';
import { plainEntry } from './crl-plain-entry.ts';
import { type ComparableName, directoryKey } from './distribution-point.ts';
import { malformed } from './malformed.ts';
import type { DistinguishedName } from './name.ts';

/** One entry as it was read, and whose certificates it may be about. */
export type IndexedEntry = {
  revocationDate: Element;
  extensions: EntryExtensions;
  /** Keys of directory names. */
  issuers: readonly string[];
};

type Entry = { serialNumber: Buffer; revocationDate: Element; extensions: EntryExtensions };

/** Distinct encodings of entry extensions that are remembered while one CRL is read: most entries give a reason only. */
const REMEMBERED_EXTENSIONS = 256;

/** A place is below 2^25 (limits.pki.crlOctets), a hash below 2^27: together they are exact in a double. */
const PLACES = 2 ** 25;

/**
 * Where the entries of a CRL are, by serial number. Only places are kept; an entry is read again when it is asked for.
 *
 * Holds: every entry was read when the index was made. The index is a sorted array and no hash table, so that serial
 * numbers chosen to have the same hash make a look-up slower and nothing else: it is made before anybody has verified
 * the CRL. A CRL of 300,000 entries takes some 50 ms, most entries being of the plain form (crl-plain-entry.ts).
 */
export class CrlEntryIndex {
  readonly unknownCritical = new Set<string>();
  readonly size: number;
  readonly #content: Buffer;
  /** hash * PLACES + place, ascending. */
  readonly #sorted: Float64Array;
  /** From which place on entries belong to whom, in the order of places (RFC 5280 §5.3.3). */
  readonly #issuers: { from: number; keys: readonly string[] }[];
  readonly #mayHaveExtensions: boolean;
  readonly #isIndirect: boolean;
  readonly #remembered = new Map<string, EntryExtensions>();

  /** @throws SealgateError `asn1.malformed`, `pki.malformed` */
  constructor(
    entries: Element | null,
    issuer: DistinguishedName,
    { mayHaveExtensions, isIndirect }: { mayHaveExtensions: boolean; isIndirect: boolean },
  ) {
    this.#content = entries?.content ?? Buffer.alloc(0);
    this.#issuers = [{ from: 0, keys: [directoryKey(issuer)] }];
    this.#mayHaveExtensions = mayHaveExtensions;
    this.#isIndirect = isIndirect;
    this.#sorted = this.#index(entries === null ? 0 : contentOffset(entries));
    this.size = this.#sorted.length;
    this.#remembered.clear();
  }

  /** @param serialNumber content octets of the INTEGER */
  bySerial(serialNumber: Buffer): IndexedEntry[] {
    const wanted = hashOf(serialNumber, 0, serialNumber.length);
    const found: IndexedEntry[] = [];
    for (let i = this.#firstWith(wanted); i < this.#sorted.length; i++) {
      const value = this.#sorted[i] ?? 0;
      const place = value % PLACES;
      if ((value - place) / PLACES !== wanted) break;
      const entry = this.#read(readElement(this.#content, 'DER', place));
      if (!entry.serialNumber.equals(serialNumber)) continue;
      const { revocationDate, extensions } = entry;
      found.push({ revocationDate, extensions, issuers: this.#issuersAt(place) });
    }
    return found;
  }

  #index(base: number): Float64Array {
    const content = this.#content;
    let sorted = new Float64Array(Math.min(1024, limits.pki.crlEntries));
    let size = 0;
    for (let place = 0; place < content.length; ) {
      if (size >= limits.pki.crlEntries) throw malformed('a CRL with too many entries');
      if (size === sorted.length) sorted = grown(sorted);
      const plain = plainEntry(content, place, this.#mayHaveExtensions);
      if (plain !== 0) {
        sorted[size++] = serialHash(content, place) * PLACES + place;
        place += plain;
        continue;
      }
      const element = readElement(content, 'DER', place, base);
      const { serialNumber, revocationDate, extensions } = this.#read(element);
      timeValue(revocationDate, 'DER');
      for (const oid of extensions.unknownCritical) this.unknownCritical.add(oid);
      if (extensions.certificateIssuer !== null) this.#changeIssuer(place, extensions.certificateIssuer);
      sorted[size++] = hashOf(serialNumber, 0, serialNumber.length) * PLACES + place;
      place += element.raw.length;
    }
    return sorted.slice(0, size).sort();
  }

  #firstWith(hash: number): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] ?? 0) < hash * PLACES) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #changeIssuer(place: number, names: readonly ComparableName[]): void {
    if (!this.#isIndirect) throw malformed('a certificateIssuer in a CRL that is not indirect');
    const keys = names.flatMap(({ name, key }) => (name.kind === 'directoryName' ? [key] : []));
    this.#issuers.push({ from: place, keys });
  }

  #issuersAt(place: number): readonly string[] {
    let low = 0;
    let high = this.#issuers.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#issuers[middle]?.from ?? 0) <= place) low = middle;
      else high = middle;
    }
    return this.#issuers[low]?.keys ?? [];
  }

  #read(element: Element): Entry {
    if (!isUniversal(element, universal.sequence)) throw malformed('an entry of a CRL that is no SEQUENCE');
    const entry = sequenceOf(element, 'DER', 'an entry of a CRL');
    const serialNumber = integerOctets(entry.next('userCertificate'));
    const revocationDate = entry.next('revocationDate');
    const list = entry.atEnd ? null : entry.universal(universal.sequence, 'crlEntryExtensions');
    entry.end();
    if (list === null) return { serialNumber, revocationDate, extensions: noEntryExtensions };
    if (!this.#mayHaveExtensions) throw malformed('entry extensions in a CRL of version 1');
    return { serialNumber, revocationDate, extensions: this.#extensions(list) };
  }

  #extensions(list: Element): EntryExtensions {
    const octets = list.raw.length <= 64 ? list.raw.toString('latin1') : null;
    const known = octets === null ? undefined : this.#remembered.get(octets);
    if (known !== undefined) return known;
    const extensions = readEntryExtensions(parseExtensions(list));
    if (octets !== null && this.#remembered.size < REMEMBERED_EXTENSIONS) {
      this.#remembered.set(octets, extensions);
    }
    return extensions;
  }
}

function grown(array: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(Math.min(array.length * 4, limits.pki.crlEntries));
  larger.set(array);
  return larger;
}

/** Of a plain entry: SEQUENCE and INTEGER have one length octet each. */
function serialHash(content: Buffer, place: number): number {
  const start = place + 4;
  return hashOf(content, start, start + (content[place + 3] ?? 0));
}

/** FNV-1a, 27 bits of it. */
function hashOf(octets: Buffer, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (octets[i] ?? 0), 0x01000193);
  return (hash ^ (hash >>> 15)) & 0x7ff_ffff;
}
