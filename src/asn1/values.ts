import { limits } from '../limits.ts';
import { contentOffset, type Element, isUniversal, universal } from './element.ts';
import { malformed } from './malformed.ts';
import { decodeOid } from './oid.ts';
import { children, type Rules } from './reader.ts';

/**
 * Content decoders of the simple types. Each refuses an element that does not carry its universal tag; an IMPLICIT
 * tag is resolved with `implicitly` first. All throw SealgateError `asn1.malformed`.
 */

function expectTag(element: Element, tag: number, what: string): void {
  if (!isUniversal(element, tag)) throw malformed(element.offset, `${what} was expected`);
}

/**
 * Content octets of an INTEGER, two's complement. X.690 §8.3.2 asks for the shortest form in BER too.
 */
export function integerOctets(element: Element, tag: number = universal.integer): Buffer {
  expectTag(element, tag, 'an INTEGER');
  const { content } = element;
  const [first, second] = content;
  if (first === undefined) throw malformed(element.offset, 'an empty INTEGER');
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
    throw malformed(element.offset, 'an INTEGER with padding');
  }
  return content;
}

/** Any INTEGER; the size is bounded by the caller's input. */
export function bigInteger(element: Element): bigint {
  const octets = integerOctets(element);
  return BigInt.asIntN(octets.length * 8, BigInt(`0x${octets.toString('hex')}`));
}

/** An INTEGER between -2^47 and 2^47 - 1: versions, counts, lengths. */
export function smallInteger(element: Element): number {
  const octets = integerOctets(element);
  if (octets.length > 6) throw malformed(element.offset, 'an INTEGER out of bounds');
  return octets.readIntBE(0, octets.length);
}

/** The magnitude of an INTEGER that must not be negative, without the sign octet. */
export function unsignedOctets(element: Element): Buffer {
  const octets = integerOctets(element);
  if ((octets[0] ?? 0) >= 0x80) throw malformed(element.offset, 'a negative INTEGER');
  return octets[0] === 0 && octets.length > 1 ? octets.subarray(1) : octets;
}

export function enumerated(element: Element): number {
  const octets = integerOctets(element, universal.enumerated);
  if (octets.length > 6) throw malformed(element.offset, 'an ENUMERATED out of bounds');
  return octets.readIntBE(0, octets.length);
}

/** Dotted form. */
export function objectIdentifier(element: Element): string {
  expectTag(element, universal.objectIdentifier, 'an OBJECT IDENTIFIER');
  return decodeOid(element.content, contentOffset(element));
}

/** X.690 §11.1: TRUE is 0xFF in DER. */
export function booleanValue(element: Element, rules: Rules): boolean {
  expectTag(element, universal.boolean, 'a BOOLEAN');
  const octet = element.content[0];
  if (octet === undefined || element.content.length !== 1)
    throw malformed(element.offset, 'a BOOLEAN of wrong length');
  if (rules === 'DER' && octet !== 0 && octet !== 0xff)
    throw malformed(element.offset, 'a BOOLEAN not in DER');
  return octet !== 0;
}

export function nullValue(element: Element): void {
  expectTag(element, universal.nullValue, 'a NULL');
  if (element.content.length !== 0) throw malformed(element.offset, 'a NULL with content');
}

/**
 * The octets of an OCTET STRING. A constructed one (X.690 §8.7.3, BER) is joined: a copy; a primitive one is a view.
 */
export function octetString(element: Element, rules: Rules): Buffer {
  expectTag(element, universal.octetString, 'an OCTET STRING');
  return stringOctets(element, universal.octetString, rules);
}

/** Octets and the number of unused bits in the last one. */
export type BitString = { octets: Buffer; unusedBits: number };

/** X.690 §8.6; in DER the unused bits are zero (§11.2.1). */
export function bitString(element: Element, rules: Rules): BitString {
  expectTag(element, universal.bitString, 'a BIT STRING');
  if (!element.constructed) return primitiveBits(element, rules);
  if (rules === 'DER') throw malformed(element.offset, 'a constructed BIT STRING in DER');
  const parts: BitString[] = [];
  for (const segment of segments(element, universal.bitString)) {
    if ((parts.at(-1)?.unusedBits ?? 0) !== 0)
      throw malformed(segment.offset, 'unused bits inside a BIT STRING');
    parts.push(primitiveBits(segment, rules));
  }
  return {
    octets: Buffer.concat(parts.map((part) => part.octets)),
    unusedBits: parts.at(-1)?.unusedBits ?? 0,
  };
}

/** A BIT STRING that holds octets: keys and signatures. */
export function wholeBitString(element: Element, rules: Rules): Buffer {
  const { octets, unusedBits } = bitString(element, rules);
  if (unusedBits !== 0) throw malformed(element.offset, 'a BIT STRING that is not whole octets');
  return octets;
}

function primitiveBits(element: Element, rules: Rules): BitString {
  const unusedBits = element.content[0];
  if (unusedBits === undefined || unusedBits > 7)
    throw malformed(element.offset, 'a BIT STRING without its first octet');
  const octets = element.content.subarray(1);
  if (octets.length === 0 && unusedBits !== 0)
    throw malformed(element.offset, 'unused bits in an empty BIT STRING');
  const last = octets.at(-1) ?? 0;
  if (rules === 'DER' && (last & ((1 << unusedBits) - 1)) !== 0) {
    throw malformed(element.offset, 'unused bits that are not zero');
  }
  return { octets, unusedBits };
}

/** Content of any string type, joined where BER cut it into segments (always OCTET STRING segments, or its own type). */
export function stringOctets(element: Element, segmentTag: number, rules: Rules): Buffer {
  if (!element.constructed) return element.content;
  if (rules === 'DER') throw malformed(element.offset, 'a constructed string in DER');
  const parts: Buffer[] = [];
  for (const segment of segments(element, segmentTag)) parts.push(segment.content);
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

/** Primitive segments of a constructed string, depth first and bounded. */
function* segments(element: Element, tag: number): Generator<Element> {
  const waiting: Element[][] = [[element]];
  let seen = 0;
  for (;;) {
    const level = waiting.at(-1);
    if (level === undefined) return;
    const next = level.pop();
    if (next === undefined) {
      waiting.pop();
      continue;
    }
    if (++seen > limits.asn1.elements) throw malformed(next.offset, 'too many elements');
    if (next !== element) expectTag(next, tag, 'a segment of the same string type');
    if (!next.constructed) {
      yield next;
      continue;
    }
    if (waiting.length > limits.asn1.depth) throw malformed(next.offset, 'nesting too deep');
    waiting.push(children(next, 'BER').reverse());
  }
}
