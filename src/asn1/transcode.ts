import { limits } from '../limits.ts';
import { type Element, universal } from './element.ts';
import { malformed } from './malformed.ts';
import { children } from './reader.ts';
import * as der from './writer.ts';

/**
 * BER as definite, shortest lengths with joined strings, in the order of the input: DER but for the order of SET and
 * SET OF and for non-canonical simple values, which the octets alone do not tell apart.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function definiteLengths(element: Element, depth = 0): Buffer {
  if (depth > limits.asn1.depth) throw malformed(element.offset, 'nesting too deep');
  // The identifier octets end where the length begins; they are minimal already.
  const identifier = element.raw.subarray(0, identifierOctets(element.raw));
  if (!element.constructed) return withLength(identifier, element.content);
  const parts = children(element, 'BER').map((child) => definiteLengths(child, depth + 1));
  if (
    element.tagClass === 'universal' &&
    element.tag !== universal.sequence &&
    element.tag !== universal.set
  ) {
    // The only other constructed universal type in our protocols: a string in segments.
    const primitive = Buffer.from(identifier);
    primitive[0] = (primitive[0] ?? 0) & ~0x20;
    if (element.tag === universal.bitString) return joinBits(primitive, parts, element);
    return withLength(primitive, ...parts.map((part) => contentOf(part)));
  }
  return withLength(identifier, ...parts);
}

function identifierOctets(raw: Buffer): number {
  if (((raw[0] ?? 0) & 0x1f) !== 0x1f) return 1;
  let end = 1;
  while (((raw[end] ?? 0) & 0x80) !== 0) end++;
  return end + 1;
}

function withLength(identifier: Buffer, ...parts: Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([identifier, der.header(0, length).subarray(1), ...parts]);
}

function contentOf(encoded: Buffer): Buffer {
  const start = identifierOctets(encoded);
  const first = encoded[start] ?? 0;
  return encoded.subarray(start + 1 + (first < 0x80 ? 0 : first & 0x7f));
}

function joinBits(identifier: Buffer, parts: Buffer[], element: Element): Buffer {
  const contents = parts.map(contentOf);
  const last = contents.at(-1);
  if (last === undefined) return withLength(identifier, Buffer.alloc(1));
  for (const content of contents) {
    if (content.length === 0) throw malformed(element.offset, 'a BIT STRING without its first octet');
    if (content !== last && content[0] !== 0)
      throw malformed(element.offset, 'unused bits inside a BIT STRING');
  }
  return withLength(identifier, last.subarray(0, 1), ...contents.map((content) => content.subarray(1)));
}
