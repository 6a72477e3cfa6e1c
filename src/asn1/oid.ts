import { malformed } from './malformed.ts';

/** Longest accepted encoding in octets: well above every registered identifier, and it bounds the arithmetic. */
const MAX_OCTETS = 128;

const FORM = /^[0-2](\.(0|[1-9][0-9]*))+$/;

/**
 * Content octets of an OBJECT IDENTIFIER (X.690 §8.19), without tag and length.
 *
 * @param oid dotted decimal, e.g. `1.2.840.113549.1.7.2`
 * @throws SealgateError `asn1.malformed` for anything else
 */
export function encodeOid(oid: string): Buffer {
  if (!FORM.test(oid)) throw malformed(0, 'not an object identifier in dotted form');
  const [first = 0n, second = 0n, ...rest] = oid.split('.').map(BigInt);
  if (first < 2n && second > 39n) throw malformed(0, 'an object identifier with an impossible second number');
  const octets: number[] = [];
  for (const arc of [first * 40n + second, ...rest]) {
    const groups = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) groups.unshift(Number(left & 0x7fn) | 0x80);
    octets.push(...groups);
  }
  if (octets.length > MAX_OCTETS) throw malformed(0, 'an object identifier of unreasonable length');
  return Buffer.from(octets);
}

/**
 * Dotted form of content octets (X.690 §8.19).
 *
 * @param offset of the octets in the outermost input, for messages
 * @throws SealgateError `asn1.malformed` for empty, cut-off, padded or overlong identifiers
 */
export function decodeOid(content: Buffer, offset = 0): string {
  if (content.length === 0 || content.length > MAX_OCTETS) {
    throw malformed(offset, 'an object identifier of impossible length');
  }
  let text = '';
  let position = 0;
  while (position < content.length) {
    const start = position;
    if (content[position] === 0x80) throw malformed(offset + position, 'an object identifier with padding');
    let octet: number;
    let arc = 0;
    let big: bigint | null = null;
    do {
      octet = content[position] ?? -1;
      if (octet < 0) throw malformed(offset + position, 'an object identifier that is cut off');
      // Seven groups fit a double exactly; longer ones (UUID arcs under 2.25) go on as bigint.
      if (position - start < 7) arc = arc * 128 + (octet & 0x7f);
      else big = (big ?? BigInt(arc)) * 128n + BigInt(octet & 0x7f);
      position++;
    } while ((octet & 0x80) !== 0);
    if (start > 0) text += `.${big ?? arc}`;
    else if (big !== null) text = `2.${big - 80n}`;
    else if (arc < 80) text = `${Math.floor(arc / 40)}.${arc % 40}`;
    else text = `2.${arc - 80}`;
  }
  return text;
}
