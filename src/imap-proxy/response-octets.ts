/** The beginning of a FETCH response in a chunk, as the fast ways look at it: without a string for any part of it. */

const SP = 0x20;
const QUOTE = 0x22;
const OPEN = 0x28;
const CLOSE = 0x29;
const STAR = 0x2a;
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;

const FETCH = Buffer.from(' FETCH (');

/** Offset behind `* n FETCH (`; -1: something else, or it is not whole. */
export function begun(octets: Buffer, start: number): number {
  if (octets[start] !== STAR || octets[start + 1] !== SP) return -1;
  const first = octets[start + 2] ?? 0;
  if (first <= ZERO || first > ZERO + 9) return -1;
  const end = numberEnd(octets, start + 2);
  return end !== -1 && startsAt(octets, end, FETCH) ? end + FETCH.length : -1;
}

export function startsAt(octets: Buffer, at: number, wanted: Buffer): boolean {
  const { length } = wanted;
  if (at + length > octets.length) return false;
  for (let i = 0; i < length; i++) if (octets[at + i] !== wanted[i]) return false;
  return true;
}

/** Behind one to nine digits; -1: there are none, or more. */
export function numberEnd(octets: Buffer, at: number): number {
  let i = at;
  for (; i <= at + 9; i++) {
    const digit = (octets[i] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) break;
  }
  return i === at || i === at + 10 ? -1 : i;
}

export function numberAt(octets: Buffer, at: number, end: number): number {
  let value = 0;
  for (let i = at; i < end; i++) value = value * 10 + (octets[i] ?? 0) - ZERO;
  return value;
}

/** Behind the next `closing`, before which is nothing that could open, quote or end a line; -1: there is something. */
export function after(octets: Buffer, at: number, closing: number): number {
  for (let i = at; i < octets.length; i++) {
    const octet = octets[i] ?? 0;
    if (octet === closing) return i + 1;
    const isFlag = octet === BACKSLASH && closing === CLOSE;
    if (octet < SP || octet > 0x7e || octet === QUOTE || octet === OPEN || octet === BRACE) return -1;
    if (octet === BACKSLASH && !isFlag) return -1;
  }
  return -1;
}
