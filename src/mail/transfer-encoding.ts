import { SealgateError } from '../errors.ts';
import { startsFrom } from './canonical.ts';
import type { Entity } from './entity.ts';
import { asBuffer } from './header.ts';

/** Content-Transfer-Encoding (RFC 2045 §6). Decoders are strict: what is not in the grammar is an error. */

const CR = 0x0d;
const LF = 0x0a;
const BASE64_COLUMNS = 76;

/**
 * Base64 in lines of 76 columns, each with CRLF (RFC 2045 §6.8). The whole block is encoded first, at the end of the room, and
 * its rows are then moved to their places: that is fastest.
 */
export function encodeBase64(octets: Uint8Array): Buffer {
  const block = asBuffer(octets).toString('base64');
  const out = Buffer.allocUnsafe(block.length + Math.ceil(block.length / BASE64_COLUMNS) * 2);
  let from = out.length - block.length;
  out.write(block, from, 'latin1');
  let to = 0;
  while (from < out.length) {
    const end = Math.min(from + BASE64_COLUMNS, out.length);
    out.copyWithin(to, from, end);
    to += end - from;
    from = end;
    out[to++] = CR;
    out[to++] = LF;
  }
  return out;
}

const ALPHABET = 1;
const BLANK = 2;
const PAD = 3;
const CLASSES = new Uint8Array(256);
for (const octet of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')) {
  CLASSES[octet] = ALPHABET;
}
for (const octet of [CR, LF, 0x20, 0x09]) CLASSES[octet] = BLANK;
CLASSES[0x3d] = PAD;

/** Line ends and blanks may stand anywhere; nothing else may. Throws SealgateError `mail.malformed-encoding`. */
export function decodeBase64(octets: Uint8Array): Buffer {
  let characters = 0;
  let pads = 0;
  const { length } = octets;
  for (let i = 0; i < length; i++) {
    const kind = CLASSES[octets[i] ?? 0];
    if (kind === ALPHABET) {
      characters++;
      if (pads > 0) throw malformed('base64 goes on after its padding');
    } else if (kind === PAD) pads++;
    else if (kind !== BLANK) throw malformed('an octet is not base64');
  }
  if (pads > 2 || (characters + pads) % 4 !== 0) throw malformed('base64 is incomplete');
  return Buffer.from(asBuffer(octets).toString('latin1'), 'base64');
}

const HEX = '0123456789ABCDEF';
const QP_COLUMNS = 76;

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
  let out = Buffer.allocUnsafe(octets.byteLength + (octets.byteLength >> 1) + 256);
  let to = 0;
  let column = 0;
  const { length } = octets;
  for (let i = 0; i < length; i++) {
    if (out.length - to < 16) out = Buffer.concat([out, Buffer.allocUnsafe(out.length)]);
    const octet = octets[i] ?? 0;
    // Most of a text: nothing that follows can change what becomes of it.
    if (column < QP_COLUMNS - 1) {
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
    if (column + width > (atLineEnd ? QP_COLUMNS : QP_COLUMNS - 1)) {
      out[to++] = 0x3d;
      out[to++] = CR;
      out[to++] = LF;
      column = 0;
      i--;
      continue;
    }
    if (literal) out[to++] = octet;
    else {
      out[to++] = 0x3d;
      out[to++] = HEX.charCodeAt(octet >> 4);
      out[to++] = HEX.charCodeAt(octet & 15);
    }
    column += width;
  }
  return out.subarray(0, to);
}

/** Length of the line break at `i`; 0: none. */
function lineBreakAt(octets: Uint8Array, i: number): number {
  if (octets[i] === LF) return 1;
  return octets[i] === CR && octets[i + 1] === LF ? 2 : 0;
}

/** Blanks at line ends are transport padding (RFC 2045 §6.7 rule 3). Throws SealgateError `mail.malformed-encoding`. */
export function decodeQuotedPrintable(octets: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(octets.byteLength);
  let to = 0;
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i] ?? 0;
    if (octet === 0x20 || octet === 0x09) {
      const end = skipBlanks(octets, i);
      if (end === octets.length || lineBreakAt(octets, end) > 0) i = end - 1;
      else out[to++] = octet;
    } else if (octet !== 0x3d) out[to++] = octet;
    else {
      const end = skipBlanks(octets, i + 1);
      const breakOctets = lineBreakAt(octets, end);
      if (breakOctets > 0 || end === octets.length) {
        i = end + breakOctets - 1;
        continue;
      }
      const value = hexValue(octets[i + 1]) * 16 + hexValue(octets[i + 2]);
      if (Number.isNaN(value)) throw malformed('"=" without two hexadecimal digits');
      out[to++] = value;
      i += 2;
    }
  }
  return out.subarray(0, to);
}

function skipBlanks(octets: Uint8Array, from: number): number {
  let i = from;
  while (octets[i] === 0x20 || octets[i] === 0x09) i++;
  return i;
}

function hexValue(octet: number | undefined): number {
  if (octet === undefined) return Number.NaN;
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const upper = octet & 0xdf;
  return upper >= 0x41 && upper <= 0x46 ? upper - 0x37 : Number.NaN;
}

/** The decoded body of a leaf. Throws SealgateError `mail.malformed-encoding`, also for an encoding nobody declared. */
export function decodeBody(octets: Uint8Array, entity: Entity): Buffer {
  const body = asBuffer(octets).subarray(entity.body.start, entity.body.end);
  switch (entity.transferEncoding) {
    case '7bit':
    case '8bit':
    case 'binary':
      return body;
    case 'base64':
      return decodeBase64(body);
    case 'quoted-printable':
      return decodeQuotedPrintable(body);
    default:
      throw malformed('the transfer encoding is not known');
  }
}

function malformed(reason: string): SealgateError {
  return new SealgateError({
    code: 'mail.malformed-encoding',
    publicText: 'The encoding of a part of this message is damaged.',
    duration: 'permanent',
    reason,
  });
}
