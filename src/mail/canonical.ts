import { asBuffer } from './header.ts';

/** Canonical form of text: every line ends with CRLF (RFC 8551 §3.1.1, RFC 2046 §4.1.1). */

const CR = 0x0d;
const LF = 0x0a;

/** Turns each LF without CR into CRLF. A lone CR is data and stays. The same buffer comes back when nothing is to do. */
export function canonicalLines(octets: Uint8Array): Buffer {
  const buffer = asBuffer(octets);
  let bare = 0;
  for (let at = buffer.indexOf(LF); at !== -1; at = buffer.indexOf(LF, at + 1)) {
    if (at === 0 || buffer[at - 1] !== CR) bare++;
  }
  if (bare === 0) return buffer;
  const out = Buffer.allocUnsafe(buffer.length + bare);
  let to = 0;
  let before = 0;
  for (let i = 0; i < buffer.length; i++) {
    const octet = buffer[i] ?? 0;
    if (octet === LF && before !== CR) out[to++] = CR;
    out[to++] = octet;
    before = octet;
  }
  return out;
}

/** What a relay might change in octets that are sent as they are. */
export type Hazards = {
  /** NUL or beyond ASCII. */
  eightBit: boolean;
  /** A CR or LF that is not part of a CRLF. */
  bareLineEnd: boolean;
  /** A line of more than 998 octets (RFC 5322 §2.1.1). */
  longLine: boolean;
  /** A blank before a line end or at the end: some relays pad lines, some strip them (RFC 2045 §6.7 rule 3). */
  trailingBlank: boolean;
  /** A line that starts with `From `, which programs that keep mailboxes in one file quote with `>`. */
  fromLine: boolean;
};

/**
 * Looks at the octets once.
 *
 * Nearly every octet is printable ASCII, so four are asked at a time whether one of them needs a look: that is five
 * times faster than one by one, and this is the only loop over a whole mail that is not native code.
 */
export function hazardsIn(octets: Uint8Array): Hazards {
  const found: Hazards = {
    eightBit: false,
    bareLineEnd: false,
    longLine: false,
    trailingBlank: false,
    fromLine: false,
  };
  const { length } = octets;
  const words = wordsOf(octets);
  let lineStart = 0;
  let i = 0;
  for (;;) {
    // Never before the first word: that is at most three octets away.
    if (((i - words.start) & 3) === 0) i = words.start + 4 * afterPlain(words.view, (i - words.start) >> 2);
    if (i >= length) break;
    const octet = octets[i] ?? 0;
    if (octet === LF) {
      const afterCr = i > 0 && octets[i - 1] === CR;
      if (!afterCr) found.bareLineEnd = true;
      endLine(octets, lineStart, afterCr ? i - 1 : i, found);
      lineStart = i + 1;
    } else if (octet === CR) {
      if (octets[i + 1] !== LF) found.bareLineEnd = true;
    } else if (octet === 0 || octet > 0x7f) found.eightBit = true;
    i++;
  }
  endLine(octets, lineStart, length, found);
  return found;
}

/** The octets in groups of four, from the first one that memory alignment allows; the last ones may be in none. */
function wordsOf({ buffer, byteOffset, byteLength }: Uint8Array): { start: number; view: Int32Array } {
  const start = -byteOffset & 3;
  const count = Math.max(0, (byteLength - start) >> 2);
  return { start, view: new Int32Array(buffer, count === 0 ? 0 : byteOffset + start, count) };
}

/**
 * The first word from `index` on in which an octet is not above CR and below 0x80; `words.length` at the end. An octet below
 * 0x0e borrows in the subtraction and so sets its highest bit; a borrow from the next octet can only stop here without need.
 */
function afterPlain(words: Int32Array, index: number): number {
  let at = index;
  while (at < words.length) {
    const word = words[at] ?? 0;
    if ((((word - 0x0e0e0e0e) | word) & 0x80808080) !== 0) break;
    at++;
  }
  return at;
}

function endLine(octets: Uint8Array, start: number, end: number, found: Hazards): void {
  if (end - start > 998) found.longLine = true;
  if (end === start) return;
  const last = octets[end - 1];
  if (last === 0x20 || last === 0x09) found.trailingBlank = true;
  if (octets[start] === 0x46 && startsFrom(octets, start)) found.fromLine = true;
}

/** Whether `From ` stands at `i`. */
export function startsFrom(octets: Uint8Array, i: number): boolean {
  return (
    octets[i] === 0x46 &&
    octets[i + 1] === 0x72 &&
    octets[i + 2] === 0x6f &&
    octets[i + 3] === 0x6d &&
    octets[i + 4] === 0x20
  );
}

/** Whether octets can pass any relay unchanged. */
export function isSafe(hazards: Hazards): boolean {
  return !(
    hazards.eightBit ||
    hazards.bareLineEnd ||
    hazards.longLine ||
    hazards.trailingBlank ||
    hazards.fromLine
  );
}

/** Canonical lines, and what in them is hazardous still. Lines that are canonical already are looked at only once. */
export function canonicalText(octets: Uint8Array): { lines: Buffer; hazards: Hazards } {
  const hazards = hazardsIn(octets);
  if (!hazards.bareLineEnd) return { lines: asBuffer(octets), hazards };
  const lines = canonicalLines(octets);
  return { lines, hazards: hazardsIn(lines) };
}
