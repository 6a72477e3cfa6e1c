import { limits } from '../limits.ts';
import { CarryingTransform, type Converted } from '../octets/transform.ts';
import { startsFrom } from './hazards.ts';
import { asBuffer } from './header.ts';
import { malformedEncoding } from './malformed-encoding.ts';

/** Quoted-printable (RFC 2045 §6.7). The decoder is strict: what is not in the grammar is an error. */

const CR = 0x0d;
const LF = 0x0a;
const HEX = '0123456789ABCDEF';
const COLUMNS = 76;
/** No rule looks further ahead than `From `, but for blanks. */
const LOOK_AHEAD = 6;

export type QuotedPrintableInput =
  /** CRLF and LF are line breaks and become CRLF; a lone CR is data. */
  | 'text'
  /** Every CR and LF is data. */
  | 'binary';

/** Printable ASCII without "=" and blanks: stands for itself wherever there is room, but for the F of a `From `. */
const STANDS_FOR_ITSELF = new Uint8Array(256).fill(1, 0x21, 0x7f);
STANDS_FOR_ITSELF[0x3d] = 0;
const LETTER_F = 0x46;

/**
 * Quoted-printable (RFC 2045 §6.7) that survives every relay and mailbox file: blanks at line ends and `From ` at line
 * starts are encoded, and so is everything that is not printable ASCII.
 */
export function encodeQuotedPrintable(octets: Uint8Array, input: QuotedPrintableInput): Buffer {
  return new QuotedPrintableEncoder(input).convert(asBuffer(octets), true).output;
}

/** `encodeQuotedPrintable` for octets that come in chunks. */
export class QuotedPrintableEncoder extends CarryingTransform {
  readonly #input: QuotedPrintableInput;
  #column = 0;

  constructor(input: QuotedPrintableInput) {
    super();
    this.#input = input;
  }

  override convert(octets: Buffer, last: boolean): Converted {
    const input = this.#input;
    let out = Buffer.allocUnsafe(octets.byteLength + (octets.byteLength >> 1) + 256);
    let to = 0;
    let column = this.#column;
    const { length } = octets;
    const end = last ? length : Math.max(0, length - LOOK_AHEAD);
    let i = 0;
    for (; i < end; i++) {
      if (out.length - to < 16) out = Buffer.concat([out, Buffer.allocUnsafe(out.length)]);
      const octet = octets[i] ?? 0;
      // Most of a text: nothing that follows can change what becomes of it.
      if (column < COLUMNS - 1) {
        const inWord = STANDS_FOR_ITSELF[octet] === 1 && (column > 0 || octet !== LETTER_F);
        if (inWord || (octet === 0x20 && STANDS_FOR_ITSELF[octets[i + 1] ?? 0] === 1)) {
          out[to++] = octet;
          column++;
          continue;
        }
      }
      if (input === 'text') {
        const breakOctets = lineBreakAt(octets, i);
        if (breakOctets > 0) {
          out[to++] = CR;
          out[to++] = LF;
          column = 0;
          i += breakOctets - 1;
          continue;
        }
      }
      const atLineEnd = i + 1 === length || (input === 'text' && lineBreakAt(octets, i + 1) > 0);
      const literal =
        octet === 0x20 || octet === 0x09
          ? !atLineEnd
          : octet > 0x20 && octet < 0x7f && octet !== 0x3d && !(column === 0 && startsFrom(octets, i));
      const width = literal ? 1 : 3;
      // The last column is kept for the "=" of a soft line break.
      if (column + width > (atLineEnd ? COLUMNS : COLUMNS - 1)) {
        out[to++] = 0x3d;
        out[to++] = CR;
        out[to++] = LF;
        column = 0;
        i--;
        continue;
      }
      if (literal) out[to++] = octet;
      else to = writeEscaped(out, to, octet);
      column += width;
    }
    this.#column = column;
    return { output: out.subarray(0, to), consumed: i };
  }
}

function writeEscaped(out: Buffer, at: number, octet: number): number {
  out[at] = 0x3d;
  out[at + 1] = HEX.charCodeAt(octet >> 4);
  out[at + 2] = HEX.charCodeAt(octet & 15);
  return at + 3;
}

/** Length of the line break at `i`; 0: none. */
function lineBreakAt(octets: Uint8Array, i: number): number {
  if (octets[i] === LF) return 1;
  return octets[i] === CR && octets[i + 1] === LF ? 2 : 0;
}

/** Blanks at line ends are transport padding (RFC 2045 §6.7 rule 3). Throws SealgateError `mail.malformed-encoding`. */
export function decodeQuotedPrintable(octets: Uint8Array): Buffer {
  return new QuotedPrintableDecoder().convert(asBuffer(octets), true).output;
}

/** `decodeQuotedPrintable` for octets that come in chunks. */
export class QuotedPrintableDecoder extends CarryingTransform {
  override convert(octets: Buffer, last: boolean): Converted {
    const out = Buffer.allocUnsafe(octets.byteLength);
    const { length } = octets;
    let to = 0;
    let i = 0;
    for (; i < length; i++) {
      const octet = octets[i] ?? 0;
      if (octet === 0x20 || octet === 0x09) {
        const end = blanksEnd(octets, i);
        if (!last && isUndecided(octets, end)) break;
        if (end === length || lineBreakAt(octets, end) > 0) {
          i = end - 1;
          continue;
        }
        while (i < end) out[to++] = octets[i++] ?? 0;
        i--;
      } else if (octet !== 0x3d) out[to++] = octet;
      else {
        const end = blanksEnd(octets, i + 1);
        if (!last && (isUndecided(octets, end) || i + 2 >= length)) break;
        const breakOctets = lineBreakAt(octets, end);
        if (breakOctets > 0 || end === length) {
          i = end + breakOctets - 1;
          continue;
        }
        const value = hexValue(octets[i + 1]) * 16 + hexValue(octets[i + 2]);
        if (Number.isNaN(value)) throw malformedEncoding('"=" without two hexadecimal digits');
        out[to++] = value;
        i += 2;
      }
    }
    return { output: out.subarray(0, to), consumed: i };
  }
}

/** Whether only what follows tells if `end` is the end of a line. */
function isUndecided(octets: Uint8Array, end: number): boolean {
  return end >= octets.length || (octets[end] === CR && end + 1 === octets.length);
}

/** Where a row of blanks ends; it may have none. Bounded: it has to be kept until its end is known. */
function blanksEnd(octets: Uint8Array, from: number): number {
  let i = from;
  while (octets[i] === 0x20 || octets[i] === 0x09) i++;
  if (i - from > limits.mail.blankRunOctets) throw malformedEncoding('more blanks in a row than allowed');
  return i;
}

function hexValue(octet: number | undefined): number {
  if (octet === undefined) return Number.NaN;
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const upper = octet & 0xdf;
  return upper >= 0x41 && upper <= 0x46 ? upper - 0x37 : Number.NaN;
}

/** Octets after "=" that say something else than a line end. */
function isHexPair(octets: Uint8Array, i: number): boolean {
  return !Number.isNaN(hexValue(octets[i]) + hexValue(octets[i + 1]));
}

/**
 * Makes canonical quoted-printable safe without changing what it says: what is not ASCII is encoded, padding at line ends goes, long
 * lines get soft line breaks.
 */
export class QuotedPrintableRepair extends CarryingTransform {
  #column = 0;

  override convert(octets: Buffer, last: boolean): Converted {
    let out = Buffer.allocUnsafe(octets.byteLength + (octets.byteLength >> 1) + 256);
    let to = 0;
    const { length } = octets;
    const end = last ? length : Math.max(0, length - LOOK_AHEAD);
    let i = 0;
    let blanksUpTo = 0;
    while (i < end) {
      if (out.length - to < 16) out = Buffer.concat([out, Buffer.allocUnsafe(out.length)]);
      const octet = octets[i] ?? 0;
      if (octet === CR && octets[i + 1] === LF) {
        out[to++] = CR;
        out[to++] = LF;
        this.#column = 0;
        i += 2;
        continue;
      }
      const blank = octet === 0x20 || octet === 0x09;
      const isEquals = octet === 0x3d;
      if ((blank && i >= blanksUpTo) || isEquals) {
        const blanks = blanksEnd(octets, isEquals ? i + 1 : i);
        if (!last && isUndecided(octets, blanks)) break;
        const atLineEnd = blanks === length || (octets[blanks] === CR && octets[blanks + 1] === LF);
        if (blank && atLineEnd) {
          i = blanks;
          continue;
        }
        blanksUpTo = blanks;
        if (isEquals && atLineEnd) {
          out[to++] = octet;
          i = blanks;
          continue;
        }
      }
      const pair = isEquals && isHexPair(octets, i + 1);
      const literal = pair || isLiteral(octets, i, this.#column);
      const width = literal && !pair ? 1 : 3;
      // The last column is kept for the "=" of a soft line break, one that is there among them.
      if (this.#column > 0 && this.#column + width > COLUMNS - 1) {
        out[to++] = 0x3d;
        out[to++] = CR;
        out[to++] = LF;
        // What stands at the start of a line now may have to be encoded there.
        this.#column = 0;
        continue;
      }
      if (pair) to += octets.copy(out, to, i, i + 3);
      else if (literal) out[to++] = octet;
      else to = writeEscaped(out, to, octet);
      this.#column += width;
      i += pair ? 3 : 1;
    }
    return { output: out.subarray(0, to), consumed: i };
  }
}

function isLiteral(octets: Buffer, i: number, column: number): boolean {
  const octet = octets[i] ?? 0;
  if (octet === 0x09) return true;
  return octet >= 0x20 && octet <= 0x7e && octet !== 0x3d && !(column === 0 && startsFrom(octets, i));
}
