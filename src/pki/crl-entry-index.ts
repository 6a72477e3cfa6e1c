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

const MOST_BUCKETS = 65_536;

/**
 * Where the entries of a CRL are, by serial number. Only places are kept; an entry is read again when it is asked for.
 *
 * Holds: every entry was read when the index was made. Places are put in buckets by one count, whatever the serial numbers
 * are: those chosen to meet in one bucket make a look-up slower and nothing else, and the index is made before anybody has
 * verified the CRL. Most entries are of the plain form (crl-plain-entry.ts), which is read in a fraction of the time.
 */
export class CrlEntryIndex {
  readonly unknownCritical = new Set<string>();
  readonly size: number;
  readonly #content: Buffer;
  /** By bucket, ascending in each. */
  readonly #places: Uint32Array;
  /** Where each bucket begins in `#places`, and the end of the last one. */
  readonly #buckets: Uint32Array;
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
    const { places, hashes } = this.#readAll(entries === null ? 0 : contentOffset(entries));
    this.size = places.length;
    this.#buckets = new Uint32Array(bucketsFor(places.length) + 1);
    this.#places = inBuckets(places, hashes, this.#buckets);
    this.#remembered.clear();
  }

  /** @param serialNumber content octets of the INTEGER */
  bySerial(serialNumber: Buffer): IndexedEntry[] {
    const bucket = hashOf(serialNumber, 0, serialNumber.length) & (this.#buckets.length - 2);
    const found: IndexedEntry[] = [];
    for (let i = this.#buckets[bucket] ?? 0; i < (this.#buckets[bucket + 1] ?? 0); i++) {
      const place = this.#places[i] ?? 0;
      if (!mayBeAbout(this.#content, place, serialNumber)) continue;
      const entry = this.#read(readElement(this.#content, 'DER', place));
      if (!entry.serialNumber.equals(serialNumber)) continue;
      const { revocationDate, extensions } = entry;
      found.push({ revocationDate, extensions, issuers: this.#issuersAt(place) });
    }
    return found;
  }

  #readAll(base: number): { places: Uint32Array; hashes: Uint16Array } {
    const content = this.#content;
    let places = new Uint32Array(Math.min(1024, limits.pki.crlEntries));
    let hashes = new Uint16Array(places.length);
    let size = 0;
    for (let place = 0; place < content.length; ) {
      if (size >= limits.pki.crlEntries) throw malformed('a CRL with too many entries');
      if (size === places.length) {
        const length = Math.min(size * 4, limits.pki.crlEntries);
        places = grown(places, new Uint32Array(length));
        hashes = grown(hashes, new Uint16Array(length));
      }
      places[size] = place;
      const plain = plainEntry(content, place, this.#mayHaveExtensions);
      if (plain !== 0) {
        hashes[size++] = serialHash(content, place);
        place += plain;
        continue;
      }
      const element = readElement(content, 'DER', place, base);
      const { serialNumber, revocationDate, extensions } = this.#read(element);
      timeValue(revocationDate, 'DER');
      for (const oid of extensions.unknownCritical) this.unknownCritical.add(oid);
      if (extensions.certificateIssuer !== null) this.#changeIssuer(place, extensions.certificateIssuer);
      hashes[size++] = hashOf(serialNumber, 0, serialNumber.length);
      place += element.raw.length;
    }
    return { places: places.slice(0, size), hashes };
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

function grown<T extends Uint16Array | Uint32Array>(array: T, larger: T): T {
  larger.set(array);
  return larger;
}

/** A power of two, about as many as entries. */
function bucketsFor(entries: number): number {
  let buckets = 1;
  while (buckets < entries && buckets < MOST_BUCKETS) buckets *= 2;
  return buckets;
}

/** Counts, then places: two steps for each entry, whatever the hashes are. */
function inBuckets(places: Uint32Array, hashes: Uint16Array, buckets: Uint32Array): Uint32Array {
  const mask = buckets.length - 2;
  const next = new Uint32Array(buckets.length);
  for (let i = 0; i < places.length; i++) {
    const bucket = ((hashes[i] ?? 0) & mask) + 1;
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }
  for (let i = 1; i < buckets.length; i++) {
    buckets[i] = (buckets[i] ?? 0) + (buckets[i - 1] ?? 0);
    next[i] = buckets[i] ?? 0;
  }
  const sorted = new Uint32Array(places.length);
  for (let i = 0; i < places.length; i++) {
    const bucket = (hashes[i] ?? 0) & mask;
    const at = next[bucket] ?? 0;
    sorted[at] = places[i] ?? 0;
    next[bucket] = at + 1;
  }
  return sorted;
}

/** false: certainly not. An entry with one length octet for itself and its number is told by its octets alone. */
function mayBeAbout(content: Buffer, place: number, serialNumber: Buffer): boolean {
  const length = content[place + 3] ?? 0x80;
  if ((content[place + 1] ?? 0x80) >= 0x80 || length >= 0x80) return true;
  const start = place + 4;
  return length === serialNumber.length && serialNumber.compare(content, start, start + length) === 0;
}

/** Of a plain entry: SEQUENCE and INTEGER have one length octet each. */
function serialHash(content: Buffer, place: number): number {
  const start = place + 4;
  return hashOf(content, start, start + (content[place + 3] ?? 0));
}

/** FNV-1a, folded to 16 bits. */
function hashOf(octets: Buffer, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (octets[i] ?? 0), 0x01000193);
  return (hash ^ (hash >>> 16)) & 0xffff;
}
