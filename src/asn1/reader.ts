import { limits } from '../limits.ts';
import { contentOffset, type Element, type TagClass, universal } from './element.ts';
import { malformed } from './malformed.ts';

/**
 * Reads identifier and length octets (X.690 §8.1).
 *
 * Holds: an element never reaches beyond the Buffer it was read from; work is linear in the input for DER and at
 * most `limits.asn1.depth` times linear for nested indefinite lengths.
 * Must never happen: two readers of the same octets seeing different elements. So everything outside the chosen
 * rules is refused, never repaired.
 */

/** DER: X.690 §10 and §11, everything minimal and definite. BER: X.690 §8, as streaming CMS writers produce. */
export type Rules = 'DER' | 'BER';

const CLASSES: readonly TagClass[] = ['universal', 'application', 'context', 'private'];

/** Types that are primitive in every encoding: X.690 §8.2 - §8.5, §8.8, §8.19. */
const ALWAYS_PRIMITIVE = new Set<number>([1, 2, 5, 6, 9, 10, 13]);
/** Types that are constructed in every encoding: EXTERNAL, EMBEDDED PDV, SEQUENCE, SET. */
const ALWAYS_CONSTRUCTED = new Set<number>([8, 11, 16, 17]);

/** No type of ours has tag numbers near this; it keeps the arithmetic exact. */
const MAX_TAG = 0x0fff_ffff;

/** Identifier and length of an element. */
export type Header = {
  tagClass: TagClass;
  tag: number;
  constructed: boolean;
  /** How many octets both take. */
  headerOctets: number;
  /** null: indefinite. */
  length: number | null;
};

/**
 * The element that starts at `offset` of `octets`; what follows it is left alone (see `readWhole`).
 *
 * @param base offset of `octets` in the outermost input, for messages
 * @throws SealgateError `asn1.malformed`
 */
export function readElement(octets: Buffer, rules: Rules, offset = 0, base = 0): Element {
  const header = readHeader(octets, rules, offset, base);
  const start = offset + header.headerOctets;
  let contentEnd: number;
  let end: number;
  if (header.length === null) {
    contentEnd = endOfIndefinite(octets, start, base);
    end = contentEnd + 2;
  } else {
    contentEnd = start + header.length;
    end = contentEnd;
  }
  return {
    tagClass: header.tagClass,
    tag: header.tag,
    constructed: header.constructed,
    raw: octets.subarray(offset, end),
    content: octets.subarray(start, contentEnd),
    offset: base + offset,
  };
}

/**
 * The one element that `octets` consist of; trailing octets are refused.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function readWhole(octets: Buffer, rules: Rules, base = 0): Element {
  const element = readElement(octets, rules, 0, base);
  if (element.raw.length !== octets.length) {
    throw malformed(base + element.raw.length, `${octets.length - element.raw.length} octets too many`);
  }
  return element;
}

/**
 * The elements inside a constructed element, in their order.
 *
 * @throws SealgateError `asn1.malformed`, also for more than `limits.asn1.elements`
 */
export function children(element: Element, rules: Rules): Element[] {
  if (!element.constructed) throw malformed(element.offset, 'a constructed encoding was expected');
  const base = contentOffset(element);
  const found: Element[] = [];
  let position = 0;
  while (position < element.content.length) {
    if (found.length >= limits.asn1.elements) throw malformed(base + position, 'too many elements');
    const child = readElement(element.content, rules, position, base);
    found.push(child);
    position += child.raw.length;
  }
  return found;
}

/** Identifier and length octets together: a tag number within `MAX_TAG`, a length of as many octets as it can have. */
export const MOST_HEADER_OCTETS = 5 + 1 + 126;

/**
 * The header at `offset` of `octets`.
 *
 * @param last position up to which the element may reach; beyond `octets` where not all of them are there yet, which then
 *   hold at least `MOST_HEADER_OCTETS` from `offset`
 * @throws SealgateError `asn1.malformed`
 */
export function readHeader(
  octets: Buffer,
  rules: Rules,
  offset: number,
  base: number,
  last: number = octets.length,
): Header {
  const first = octetAt(octets, offset, base);
  const tagClass = CLASSES[first >> 6] as TagClass;
  const constructed = (first & 0x20) !== 0;
  let tag = first & 0x1f;
  let position = offset + 1;
  if (tag === 0x1f) {
    // X.690 §8.1.2.4: base 128, no leading zero group, only for numbers from 31.
    tag = 0;
    for (;;) {
      const octet = octetAt(octets, position, base);
      if (tag === 0 && octet === 0x80) throw malformed(base + position, 'a tag number with leading zeros');
      tag = tag * 128 + (octet & 0x7f);
      if (tag > MAX_TAG) throw malformed(base + position, 'a tag number out of bounds');
      position++;
      if ((octet & 0x80) === 0) break;
    }
    if (tag < 0x1f) throw malformed(base + offset, 'a long tag for a small number');
  }
  if (tagClass === 'universal') refuseForm(tag, constructed, rules, base + offset);

  const lengthAt = position;
  const initial = octetAt(octets, position, base);
  position++;
  let length: number | null;
  if (initial < 0x80) {
    length = initial;
  } else if (initial === 0x80) {
    if (rules === 'DER') throw malformed(base + lengthAt, 'an indefinite length in DER');
    if (!constructed) throw malformed(base + lengthAt, 'an indefinite length of a primitive encoding');
    length = null;
  } else {
    const count = initial & 0x7f;
    if (initial === 0xff) throw malformed(base + lengthAt, 'a reserved length octet');
    length = 0;
    for (let i = 0; i < count; i++) {
      const octet = octetAt(octets, position, base);
      if (rules === 'DER' && i === 0 && octet === 0) throw malformed(base + lengthAt, 'a length with zeros');
      // Checked in each step, so the number stays far below 2^53 however many length octets there are.
      length = length * 256 + octet;
      if (length > last) throw malformed(base + lengthAt, 'a length beyond the end of the data');
      position++;
    }
    if (rules === 'DER' && length < 0x80) throw malformed(base + lengthAt, 'a long form for a short length');
  }
  if ((length ?? 0) > last - position) {
    throw malformed(base + lengthAt, 'a length beyond the end of the data');
  }
  return { tagClass, tag, constructed, headerOctets: position - offset, length };
}

function refuseForm(tag: number, constructed: boolean, rules: Rules, offset: number): void {
  if (tag === universal.endOfContents) throw malformed(offset, 'end-of-contents out of place');
  if (ALWAYS_CONSTRUCTED.has(tag)) {
    if (!constructed) throw malformed(offset, 'a primitive SEQUENCE or SET');
  } else if (constructed && (rules === 'DER' || ALWAYS_PRIMITIVE.has(tag))) {
    throw malformed(offset, 'a constructed encoding of a simple type');
  }
}

/** Where the end-of-contents octets that close the element whose content begins at `start` are. */
function endOfIndefinite(octets: Buffer, start: number, base: number): number {
  let position = start;
  let open = 1;
  // Elements are counted so that a long row of empty ones stays bounded too.
  for (let seen = 0; ; seen++) {
    if (seen > limits.asn1.elements) throw malformed(base + position, 'too many elements');
    if (octets[position] === 0 && octets[position + 1] === 0) {
      open--;
      if (open === 0) return position;
      position += 2;
      continue;
    }
    const header = readHeader(octets, 'BER', position, base);
    position += header.headerOctets;
    if (header.length === null) {
      open++;
      if (open > limits.asn1.depth) throw malformed(base + position, 'nesting too deep');
    } else {
      position += header.length;
    }
  }
}

function octetAt(octets: Buffer, position: number, base: number): number {
  const octet = octets[position];
  if (octet === undefined) throw malformed(base + position, 'the data ends too early');
  return octet;
}
