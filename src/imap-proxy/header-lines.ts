/** Header fields in a chunk, as the fast ways look at them: without a string for any of them. */

const HT = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;

/** Behind the CRLF of the line at `at`; -1: it has none, or an octet that a line must not have. */
export function endOfLine(octets: Buffer, at: number, end: number): number {
  for (let i = at; i < end; i++) {
    const octet = octets[i] ?? 0;
    if (octet > CR) continue;
    if (octet === CR) return i + 1 < end && octets[i + 1] === LF ? i + 2 : -1;
    if (octet === LF || octet === 0) return -1;
  }
  return -1;
}

/** Behind the lines that continue the field whose first line ends before `at`; -1: as `endOfLine`. */
export function endOfField(octets: Buffer, at: number, end: number): number {
  let i = at;
  while (i !== -1 && i < end && (octets[i] === SP || octets[i] === HT)) i = endOfLine(octets, i, end);
  return i;
}

/** `Authentication-Results` and `X-Sealgate-…` (forged-status.ts), by their first letters. */
export function mayBeStatus(octets: Buffer, at: number, first: number): boolean {
  const letter = first | 0x20;
  if (letter === 0x61) return ((octets[at + 1] ?? 0) | 0x20) === 0x75;
  return letter === 0x78 && ((octets[at + 2] ?? 0) | 0x20) === 0x73;
}

const CONTENT_TYPE = Buffer.from('content-type');

export function isContentType(octets: Buffer, at: number): boolean {
  // A letter and its capital differ by this bit; whatever else it makes equal is left to the long way as well.
  for (let i = 0; i < CONTENT_TYPE.length; i++) {
    if (((octets[at + i] ?? 0) | 0x20) !== CONTENT_TYPE[i]) return false;
  }
  return true;
}
