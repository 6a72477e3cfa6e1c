import { type Element, universal } from './element.ts';
import { malformed } from './malformed.ts';
import type { Rules } from './reader.ts';
import { stringOctets } from './values.ts';

const ASCII = new Set<number>([
  universal.numericString,
  universal.printableString,
  universal.ia5String,
  universal.visibleString,
]);

/**
 * Text of a character string type: UTF8, Numeric, Printable, IA5, Visible, T61, Universal, BMP.
 *
 * PrintableString is held to ASCII only: certificates with `@`, `*` or `&` in it are common and harmless. T61String
 * is read as ISO 8859-1, as everybody writes it. Control characters, NUL included, are kept: whoever compares names
 * or shows them must mind them.
 *
 * @throws SealgateError `asn1.malformed` for other types and for octets that are not text of the type
 */
export function characterString(element: Element, rules: Rules): string {
  if (element.tagClass !== 'universal') throw malformed(element.offset, 'a character string was expected');
  const { tag } = element;
  // X.690 §8.23: a constructed character string is built like an OCTET STRING.
  const octets = stringOctets(element, universal.octetString, rules);
  if (tag === universal.utf8String) return utf8(octets, element.offset);
  if (ASCII.has(tag)) return ascii(octets, element.offset);
  if (tag === universal.t61String) return octets.toString('latin1');
  if (tag === universal.bmpString) return bmp(octets, element.offset);
  if (tag === universal.universalString) return utf32(octets, element.offset);
  throw malformed(element.offset, 'a character string was expected');
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(octets: Buffer, offset: number): string {
  try {
    return strictUtf8.decode(octets);
  } catch (cause) {
    throw Object.assign(malformed(offset, 'octets that are not UTF-8'), { cause });
  }
}

function ascii(octets: Buffer, offset: number): string {
  for (const octet of octets) {
    if (octet > 0x7f) throw malformed(offset, 'octets that are not ASCII');
  }
  return octets.toString('latin1');
}

function bmp(octets: Buffer, offset: number): string {
  if (octets.length % 2 !== 0) throw malformed(offset, 'half a character in a BMPString');
  const text = Buffer.from(octets).swap16().toString('utf16le');
  if (!text.isWellFormed()) throw malformed(offset, 'half a surrogate pair in a BMPString');
  return text;
}

function utf32(octets: Buffer, offset: number): string {
  if (octets.length % 4 !== 0) throw malformed(offset, 'half a character in a UniversalString');
  let text = '';
  for (let i = 0; i < octets.length; i += 4) {
    const point = octets.readUInt32BE(i);
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
      throw malformed(offset, 'not a character in a UniversalString');
    }
    text += String.fromCodePoint(point);
  }
  return text;
}
