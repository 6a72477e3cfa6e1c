import { CarryingTransform, type Converted, type OctetTransform } from '../octets/transform.ts';
import { asBuffer } from './header.ts';
import { malformedEncoding } from './malformed-encoding.ts';

/** Base64 as a transfer encoding (RFC 2045 §6.8). The decoder is strict: what is not in the grammar is an error. */

const CR = 0x0d;
const LF = 0x0a;
const COLUMNS = 76;
const OCTETS_A_LINE = 57;
const NOTHING = Buffer.alloc(0);

/**
 * Base64 in lines of 76 columns, each with CRLF (RFC 2045 §6.8). The whole block is encoded first, at the end of the room, and
 * its rows are then moved to their places: that is fastest.
 */
export function encodeBase64(octets: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(base64Length(octets.byteLength));
  writeBase64(out, 0, octets);
  return out;
}

/** `encodeBase64` from `at` to the end of `out`, which is as long as that needs. */
export function writeBase64(out: Buffer, at: number, octets: Uint8Array): void {
  writeRows(out, at, asBuffer(octets).toString('base64'));
}

/** Writes characters in rows from `at` to the end of `out`, which is as long as they need. */
function writeRows(out: Buffer, at: number, characters: string): void {
  let from = out.length - characters.length;
  out.write(characters, from, 'latin1');
  let to = at;
  while (from < out.length) {
    const end = Math.min(from + COLUMNS, out.length);
    out.copyWithin(to, from, end);
    to += end - from;
    from = end;
    out[to++] = CR;
    out[to++] = LF;
  }
}

/** Octets that `encodeBase64` makes of so many. */
export function base64Length(octets: number): number {
  const block = Math.ceil(octets / 3) * 4;
  return block + Math.ceil(block / COLUMNS) * 2;
}

/** `encodeBase64` for octets that come in chunks. */
export class Base64Encoder implements OctetTransform {
  /** Less than a line. */
  #carry: Buffer = NOTHING;

  update(octets: Buffer): Buffer {
    const over = (this.#carry.length + octets.length) % OCTETS_A_LINE;
    if (this.#carry.length + octets.length < OCTETS_A_LINE) {
      this.#carry = Buffer.concat([this.#carry, octets]);
      return NOTHING;
    }
    // The line that was begun on its own, so that the octets need not be copied.
    const begun = this.#carry.length === 0 ? 0 : OCTETS_A_LINE - this.#carry.length;
    const line =
      begun === 0 ? '' : Buffer.concat([this.#carry, octets.subarray(0, begun)]).toString('base64');
    const lines = octets.toString('base64', begun, octets.length - over);
    const lineEnds = (line.length + lines.length) / COLUMNS;
    const out = Buffer.allocUnsafe(line.length + lines.length + 2 * lineEnds);
    if (line !== '') out.write(`${line}\r\n`, 'latin1');
    writeRows(out, line === '' ? 0 : COLUMNS + 2, lines);
    this.#carry = Buffer.from(octets.subarray(octets.length - over));
    return out;
  }

  finish(): Buffer {
    return encodeBase64(this.#carry);
  }
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
  return new Base64Decoder().decode(asBuffer(octets), true);
}

/** `decodeBase64` for octets that come in chunks. */
export class Base64Decoder implements OctetTransform {
  /** The unfinished row, or what is left of a group of four. */
  #carry: Buffer = NOTHING;

  update(octets: Buffer): Buffer {
    return this.decode(octets, false);
  }

  finish(): Buffer {
    return this.decode(NOTHING, true);
  }

  /** @param last whether nothing follows */
  decode(octets: Buffer, last: boolean): Buffer {
    const out = Buffer.allocUnsafe(Math.ceil((this.#carry.length + octets.length) / 4) * 3);
    let rest = octets;
    let to = 0;
    if (this.#carry.length > 0) {
      // The row that was begun on its own, so that the octets need not be copied.
      const end = octets.indexOf(LF) + 1 || octets.length;
      const row = Buffer.concat([this.#carry, octets.subarray(0, end)]);
      rest = octets.subarray(end);
      to = this.#decodeBlock(row, last && rest.length === 0, out, 0);
      if (rest.length === 0) return out.subarray(0, to);
      if (this.#carry.length > 0) rest = Buffer.concat([this.#carry, rest]);
    }
    return out.subarray(0, this.#decodeBlock(rest, last, out, to));
  }

  /** Writes to `out` from `at`, and returns where it stopped writing. */
  #decodeBlock(block: Buffer, last: boolean, out: Buffer, at: number): number {
    this.#carry = NOTHING;
    const rows = decodeRows(block, out, at);
    const rest = block.subarray(rows.consumed);
    const to = at + rows.written;
    // A row that goes on is left for later, so that the next chunk begins with a whole row.
    if (!last && rest.length < rows.stride && !rest.includes(LF)) {
      // Copied: the chunk may be somebody else's by then.
      this.#carry = Buffer.from(rest);
      return to;
    }
    return to + this.#decodeAnything(rest, last, out, to);
  }

  /** Octet by octet. Returns how many were written. */
  #decodeAnything(octets: Buffer, last: boolean, out: Buffer, to: number): number {
    const characters = Buffer.allocUnsafe(octets.length);
    let count = 0;
    let pads = 0;
    for (const octet of octets) {
      const kind = CLASSES[octet];
      if (kind === ALPHABET) {
        if (pads > 0) throw malformedEncoding('base64 goes on after its padding');
        characters[count++] = octet;
      } else if (kind === PAD) pads++;
      else if (kind !== BLANK) throw malformedEncoding('an octet is not base64');
    }
    if (pads > 2 || (last && (count + pads) % 4 !== 0)) throw malformedEncoding('base64 is incomplete');
    const whole = last ? count : count - (count % 4);
    // Padding stays with the characters before it: what follows is judged by it.
    if (!last) this.#carry = Buffer.concat([characters.subarray(whole, count), Buffer.alloc(pads, '=')]);
    return out.write(characters.toString('latin1', 0, whole), to, 'base64');
  }
}

/** Longer rows are read octet by octet. */
const LONGEST_STRIDE = 4_096;

const PIECE_OCTETS = 8 * 1024;

const MINUS = 0x2d;
const UNDERSCORE = 0x5f;
const EQUALS = 0x3d;

/**
 * Decodes the rows of one length that a block begins with, up to the padding, as native code does it. That code skips what is not
 * base64 and reads the alphabet of URLs too; so the rows are believed only if they have given as many octets as they have
 * characters for, and none of the two.
 *
 * @returns `stride`: length of a row with its line end; the whole block where it is a single row
 */
function decodeRows(
  block: Buffer,
  out: Buffer,
  at: number,
): { consumed: number; written: number; stride: number } {
  const nothing = { consumed: 0, written: 0, stride: 0 };
  const pad = block.indexOf(EQUALS);
  const limit = pad === -1 ? block.length : pad;
  const first = block.indexOf(LF);
  let consumed: number;
  let characters: number;
  let stride: number;
  if (first === -1) {
    consumed = limit - (limit % 4);
    characters = consumed;
    stride = 4;
  } else {
    const lineEnd = first > 0 && block[first - 1] === CR ? 2 : 1;
    stride = first + 1;
    if (stride > LONGEST_STRIDE || (stride - lineEnd) % 4 !== 0) return nothing;
    consumed = 0;
    for (let lineFeed = stride - 1; lineFeed < limit; lineFeed += stride) {
      if (block[lineFeed] !== LF || (lineEnd === 2 && block[lineFeed - 1] !== CR)) break;
      consumed += stride;
    }
    characters = (consumed / stride) * (stride - lineEnd);
  }
  if (characters === 0) return nothing;
  // In pieces of whole rows, so that V8 gets only short strings.
  const piece = stride * Math.max(1, Math.floor(PIECE_OCTETS / stride));
  let written = 0;
  for (let from = 0; from < consumed; from += piece) {
    const text = block.toString('latin1', from, Math.min(from + piece, consumed));
    written += out.write(text, at + written, 'base64');
  }
  if (written !== (characters / 4) * 3) return nothing;
  if (block.includes(MINUS) || block.includes(UNDERSCORE)) return nothing;
  return { consumed, written, stride };
}

/** What is not base64 is to be ignored (RFC 2045 §6.8) and so can go; the rest comes in lines of 76 columns. */
export class Base64Rewrap extends CarryingTransform {
  #kept: Buffer = NOTHING;

  override convert(octets: Buffer, last: boolean): Converted {
    const characters = Buffer.allocUnsafe(this.#kept.length + octets.length);
    let count = this.#kept.copy(characters);
    for (const octet of octets) {
      const kind = CLASSES[octet];
      if (kind === ALPHABET || kind === PAD) characters[count++] = octet;
    }
    const whole = last ? count : count - (count % COLUMNS);
    const out = Buffer.allocUnsafe(whole + Math.ceil(whole / COLUMNS) * 2);
    let to = 0;
    for (let at = 0; at < whole; at += COLUMNS) {
      to += characters.copy(out, to, at, Math.min(at + COLUMNS, whole));
      out[to++] = CR;
      out[to++] = LF;
    }
    this.#kept = characters.subarray(whole, count);
    return { output: out, consumed: octets.length };
  }
}
