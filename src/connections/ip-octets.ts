import { isIPv4, isIPv6 } from 'node:net';

/** An IPv4 address as 4 octets, an IPv6 address without a zone as 16; null: neither. */
export function ipOctets(address: string): Buffer | null {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address) || address.includes('%')) return null;
  const ipv4 = /:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  const text = ipv4 === undefined ? address : address.slice(0, -ipv4.length) + asGroups(ipv4);
  // RFC 4291 §2.2: "::" stands for as many groups of zeros as are missing.
  const [left = '', right] = text.split('::');
  const before = left === '' ? [] : left.split(':');
  const after = right === undefined || right === '' ? [] : right.split(':');
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  const octets = Buffer.alloc(16);
  for (const [i, group] of [...before, ...zeros, ...after].entries()) {
    octets.writeUInt16BE(Number.parseInt(group, 16), 2 * i);
  }
  return octets;
}

function asGroups(ipv4: string): string {
  const octets = Buffer.from(ipv4.split('.').map(Number));
  return `${octets.readUInt16BE(0).toString(16)}:${octets.readUInt16BE(2).toString(16)}`;
}

/** 4 octets as IPv4, 16 as IPv6 in the short form (RFC 5952 §4). */
export function ipText(octets: Buffer): string {
  if (octets.length === 4) return octets.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => octets.readUInt16BE(2 * i).toString(16));
  const zeros = longestZeros(groups);
  if (zeros === null) return groups.join(':');
  return `${groups.slice(0, zeros.at).join(':')}::${groups.slice(zeros.at + zeros.length).join(':')}`;
}

/** The first of the longest runs of two and more groups of zeros. */
function longestZeros(groups: readonly string[]): { at: number; length: number } | null {
  let longest: { at: number; length: number } | null = null;
  for (let at = 0; at < groups.length; at++) {
    let length = 0;
    while (groups[at + length] === '0') length++;
    if (length >= 2 && (longest === null || length > longest.length)) longest = { at, length };
  }
  return longest;
}
