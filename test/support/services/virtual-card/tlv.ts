/** Data objects as PIV writes them: BER-TLV (ISO/IEC 7816-4) with tags of up to three octets, and lengths up to 65,535. */

/** @param tag as in the standard's tables, for example 0x5fc105 */
export function encodeTlv(tag: number, ...values: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(values);
  return Buffer.concat([tagOctets(tag), lengthOctets(value.length), value]);
}

function tagOctets(tag: number): Buffer {
  const octets = [tag >>> 16, (tag >>> 8) & 0xff, tag & 0xff];
  const first = octets.findIndex((octet) => octet !== 0);
  return Buffer.from(octets.slice(first));
}

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  if (length < 0x100) return Buffer.from([0x81, length]);
  if (length < 0x10000) return Buffer.from([0x82, length >>> 8, length & 0xff]);
  throw new Error(`${length} octets are too many for a card`);
}

export type Tlv = { tag: number; value: Buffer };

/** The data objects that stand one after another, tags of one octet; null where the octets are not that. */
export function decodeTlvs(octets: Buffer): Tlv[] | null {
  const found: Tlv[] = [];
  let at = 0;
  while (at < octets.length) {
    const tag = octets[at] ?? 0;
    const length = readLength(octets, at + 1);
    if (length === null || length.end + length.value > octets.length) return null;
    found.push({ tag, value: octets.subarray(length.end, length.end + length.value) });
    at = length.end + length.value;
  }
  return found;
}

function readLength(octets: Buffer, at: number): { value: number; end: number } | null {
  const first = octets[at];
  if (first === undefined) return null;
  if (first < 0x80) return { value: first, end: at + 1 };
  const count = first - 0x80;
  if (count < 1 || count > 2 || at + 1 + count > octets.length) return null;
  return { value: octets.readUIntBE(at + 1, count), end: at + 1 + count };
}
