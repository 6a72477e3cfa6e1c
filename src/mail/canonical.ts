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

/** Looks at the octets once. */
export function hazardsIn(octets: Uint8Array): Hazards {
  const found: Hazards = {
    eightBit: false,
    bareLineEnd: false,
    longLine: false,
    trailingBlank: false,
    fromLine: false,
  };
  let lineStart = 0;
  const { length } = octets;
  for (let i = 0; i < length; i++) {
    const octet = octets[i] ?? 0;
    // Nearly every octet is of this kind.
    if (octet > CR && octet < 0x80) continue;
    if (octet === LF) {
      const afterCr = i > 0 && octets[i - 1] === CR;
      if (!afterCr) found.bareLineEnd = true;
      endLine(octets, lineStart, afterCr ? i - 1 : i, found);
      lineStart = i + 1;
    } else if (octet === CR) {
      if (octets[i + 1] !== LF) found.bareLineEnd = true;
    } else if (octet === 0 || octet > 0x7f) found.eightBit = true;
  }
  endLine(octets, lineStart, length, found);
  return found;
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
