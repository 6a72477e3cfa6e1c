import { universal } from './element.ts';
import { malformed } from './malformed.ts';
import { encodeOid } from './oid.ts';

/**
 * DER (X.690 §10, §11), bottom up: every function gives one whole encoded element, every `part` is one or more.
 */

const CONSTRUCTED = 0x20;
const CONTEXT = 0x80;

/** Identifier and length octets for a content of `length` octets. */
export function header(identifier: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([identifier, length]);
  if (length < 0x100) return Buffer.from([identifier, 0x81, length]);
  if (length < 0x1_0000) return Buffer.from([identifier, 0x82, length >> 8, length & 0xff]);
  if (length < 0x100_0000)
    return Buffer.from([identifier, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff]);
  const count = length < 0x1_0000_0000 ? 4 : length < 0x100_0000_0000 ? 5 : 6;
  const octets = Buffer.alloc(2 + count);
  octets.set([identifier, 0x80 | count]);
  octets.writeUIntBE(length, 2, count);
  return octets;
}

/** One element with a given identifier octet (tag numbers below 31). */
export function element(identifier: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  return Buffer.concat([header(identifier, length), ...parts]);
}

/**
 * One element as pieces that are not joined yet. Where elements lie in one another around a whole mail, joining at each
 * level would copy the mail at each level; so the outermost one is joined, once, by `Buffer.concat`.
 */
export function pieces(identifier: number, parts: readonly Uint8Array[]): Uint8Array[] {
  let length = 0;
  for (const part of parts) length += part.length;
  return [header(identifier, length), ...parts];
}

/** An element around content that comes later. */
export type Level = {
  identifier: number;
  /** What stands in front of the content, inside. */
  before?: readonly Uint8Array[];
  /** How many octets stand behind it, inside; 0 when absent. */
  after?: number;
};

/**
 * All that stands in front of content of `octets`: headers and parts of the elements around it, joined once.
 *
 * @param levels the innermost first
 */
export function headAround(octets: number, levels: readonly Level[]): Buffer {
  const parts: Uint8Array[] = [];
  let length = octets;
  let inFront = 0;
  for (const { identifier, before = [], after = 0 } of levels) {
    let here = 0;
    for (const part of before) here += part.length;
    length += here + after;
    const start = header(identifier, length);
    length += start.length;
    inFront += here + start.length;
    parts.unshift(start, ...before);
  }
  return Buffer.concat(parts, inFront);
}

/** Identifier octets for `pieces` and `headAround`. */
export const identifiers = {
  sequence: universal.sequence | CONSTRUCTED,
  setOf: universal.set | CONSTRUCTED,
  octetString: universal.octetString,
  /** `[0]`, constructed: EXPLICIT, or IMPLICIT of a SEQUENCE, SET or SET OF. */
  constructed0: CONTEXT | CONSTRUCTED,
  /** `[0] IMPLICIT` of a primitive type. */
  primitive0: CONTEXT,
} as const;

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(universal.sequence | CONSTRUCTED, ...parts);
}

/** SET of components with distinct tags, ordered by tag (X.690 §10.3). */
export function set(...parts: readonly Uint8Array[]): Buffer {
  const order = (part: Uint8Array): number => (part[0] ?? 0) & ~CONSTRUCTED;
  return element(universal.set | CONSTRUCTED, ...[...parts].sort((a, b) => order(a) - order(b)));
}

/**
 * SET OF, ordered by encoding (X.690 §11.6). No encoded element is a prefix of another one, so the comparison of
 * octets needs no padding.
 */
export function setOf(parts: readonly Uint8Array[]): Buffer {
  return element(universal.set | CONSTRUCTED, ...[...parts].sort(Buffer.compare));
}

export function octetString(octets: Uint8Array): Buffer {
  return element(universal.octetString, octets);
}

/** @param unusedBits of the last octet, 0 to 7; they must be zero there */
export function bitString(octets: Uint8Array, unusedBits = 0): Buffer {
  return element(universal.bitString, Buffer.from([unusedBits]), octets);
}

/** BIT STRING with named bits: trailing zero bits are left out (X.690 §11.2.2). `bits` are positions from 0. */
export function namedBits(bits: Iterable<number>): Buffer {
  const positions = [...bits];
  if (positions.length === 0) return bitString(Buffer.alloc(0));
  const last = Math.max(...positions);
  const octets = Buffer.alloc((last >> 3) + 1);
  for (const bit of positions) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return bitString(octets, 7 - (last & 7));
}

/** @param value a Buffer is taken as content octets (two's complement) and must be minimal already */
export function integer(value: number | bigint | Uint8Array): Buffer {
  return element(universal.integer, typeof value === 'object' ? value : integerContent(BigInt(value)));
}

/** INTEGER of an unsigned magnitude, e.g. an RSA modulus: leading zeros are removed, a sign octet is added. */
export function unsignedInteger(magnitude: Uint8Array): Buffer {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const shortest = magnitude.subarray(start);
  if (shortest.length === 0) return integer(0);
  return (shortest[0] ?? 0) >= 0x80
    ? element(universal.integer, Buffer.alloc(1), shortest)
    : integer(shortest);
}

function integerContent(value: bigint): Buffer {
  let octets = 1;
  while (BigInt.asIntN(octets * 8, value) !== value) octets++;
  return Buffer.from(
    BigInt.asUintN(octets * 8, value)
      .toString(16)
      .padStart(octets * 2, '0'),
    'hex',
  );
}

export function enumerated(value: number): Buffer {
  return element(universal.enumerated, integerContent(BigInt(value)));
}

/** Encoding one costs as much as copying a mail of 10 KB, and those of our own tables, some dozens, come again and again. */
const encodedOids = new Map<string, Buffer>();
const MOST_ENCODED_OIDS = 256;

/** Shared: not to be written to. */
export function oid(dotted: string): Buffer {
  let encoded = encodedOids.get(dotted);
  if (encoded === undefined) {
    encoded = element(universal.objectIdentifier, encodeOid(dotted));
    if (encodedOids.size >= MOST_ENCODED_OIDS) encodedOids.clear();
    encodedOids.set(dotted, encoded);
  }
  return encoded;
}

export function nullValue(): Buffer {
  return Buffer.from([universal.nullValue, 0]);
}

export function boolean(value: boolean): Buffer {
  return Buffer.from([universal.boolean, 1, value ? 0xff : 0]);
}

/** `[tag] EXPLICIT`. */
export function explicit(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  return element(contextIdentifier(tag) | CONSTRUCTED, ...parts);
}

/** `[tag] IMPLICIT`: the encoded element with its tag replaced; constructed stays constructed. */
export function implicit(tag: number, encoded: Uint8Array): Buffer {
  const octets = Buffer.from(encoded);
  octets[0] = contextIdentifier(tag) | ((octets[0] ?? 0) & CONSTRUCTED);
  return octets;
}

/** `[tag] IMPLICIT` of a primitive type, from its content octets. */
export function implicitPrimitive(tag: number, content: Uint8Array): Buffer {
  return element(contextIdentifier(tag), content);
}

/** `[tag] IMPLICIT` of a SEQUENCE, SET or SET OF, from its parts in their order. */
export function implicitConstructed(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  return element(contextIdentifier(tag) | CONSTRUCTED, ...parts);
}

function contextIdentifier(tag: number): number {
  if (!Number.isInteger(tag) || tag < 0 || tag > 30) throw malformed(0, 'a context tag out of bounds');
  return CONTEXT | tag;
}

export function utf8String(text: string): Buffer {
  if (!text.isWellFormed()) throw malformed(0, 'text with half a surrogate pair');
  return element(universal.utf8String, Buffer.from(text, 'utf8'));
}

/** X.680 §41.4. */
const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;

export function printableString(text: string): Buffer {
  if (!PRINTABLE.test(text)) throw malformed(0, 'characters that a PrintableString cannot hold');
  return element(universal.printableString, Buffer.from(text, 'latin1'));
}

export function ia5String(text: string): Buffer {
  if (!/^[\x00-\x7f]*$/.test(text)) throw malformed(0, 'characters that an IA5String cannot hold');
  return element(universal.ia5String, Buffer.from(text, 'latin1'));
}

/** Years 1950 to 2049; whole seconds. */
export function utcTime(date: Date): Buffer {
  const year = date.getUTCFullYear();
  if (!(year >= 1950 && year < 2050)) throw malformed(0, 'a year that UTCTime cannot hold');
  return element(universal.utcTime, Buffer.from(digits(date).slice(2), 'latin1'));
}

/** Whole seconds, no fraction (RFC 5280 §4.1.2.5.2). */
export function generalizedTime(date: Date): Buffer {
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) throw malformed(0, 'a year that GeneralizedTime cannot hold');
  return element(universal.generalizedTime, Buffer.from(digits(date), 'latin1'));
}

/** The CHOICE Time: UTCTime from 1950 through 2049, else GeneralizedTime (RFC 5280 §4.1.2.5, RFC 5652 §11.3). */
export function time(date: Date): Buffer {
  const year = date.getUTCFullYear();
  return year >= 1950 && year < 2050 ? utcTime(date) : generalizedTime(date);
}

function digits(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    String(date.getUTCFullYear()).padStart(4, '0') +
    two(date.getUTCMonth() + 1) +
    two(date.getUTCDate()) +
    two(date.getUTCHours()) +
    two(date.getUTCMinutes()) +
    `${two(date.getUTCSeconds())}Z`
  );
}
