import { SmallChunks } from '../octets/small-chunks.ts';
import { hasBareLineEnd, hasNulBeforeDot } from './line-faults.ts';

/**
 * The message in DATA: transparency (RFC 5321 §4.5.2) and its end (§4.1.1.4).
 *
 * What holds: data ends at CRLF "." CRLF and at nothing else. What never happens: a message with a bare CR or LF gets through, in
 * either direction. Servers differ in what they take for a line end, and `LF . CRLF` and its kin let one message become two
 * behind a proxy that looks away (SMTP smuggling).
 */
const END = Buffer.from('\r\n.\r\n');
const LINE_WITH_DOT = Buffer.from('\r\n.');
const TERMINATOR = Buffer.from('.\r\n');
const DOT = 46;
const NUL = 0;
/** Of an end of data so many octets may be in earlier chunks. */
const TAIL_OCTETS = 4;
/** The octets on both sides of a cut, looked at at once: no chunk costs a Buffer more. */
const SEAM = Buffer.alloc(2 * TAIL_OCTETS);

export type Collected =
  /** Stuffing removed; empty, or ended by CRLF. */
  { kind: 'message'; octets: Buffer } | { kind: 'bare-line-end' } | { kind: 'too-large' };

/** Collects one message, chunk by chunk. */
export class MessageCollector {
  readonly #maxOctets: number;
  /** Stuffed octets that can still be a message of `maxOctets`: three become four at worst (`.CRLF`). */
  readonly #maxStuffed: number;
  #chunks: Buffer[] = [];
  readonly #small = new SmallChunks();
  #stuffed = 0;
  /** The last four octets seen, as a number; the message begins as if after a CRLF. */
  #tail = 0x0d0a;
  #tooLarge = false;

  constructor(maxOctets: number) {
    this.#maxOctets = maxOctets;
    this.#maxStuffed = Math.ceil((maxOctets * 4) / 3) + TERMINATOR.length;
  }

  /** Stuffed octets seen so far, those that were not kept included. */
  get seen(): number {
    return this.#stuffed;
  }

  /** After `end` nothing more may be pushed; `rest` is what the client sent behind the end of data. */
  push(chunk: Buffer): { kind: 'more' } | { kind: 'end'; rest: Buffer } {
    const end = this.#endIn(chunk);
    if (end === -1) {
      this.#keep(chunk);
      this.#tail = lastFour(this.#tail, chunk);
      return { kind: 'more' };
    }
    this.#keep(chunk.subarray(0, end));
    return { kind: 'end', rest: chunk.subarray(end) };
  }

  /**
   * What has come so far, stuffed, to be collected elsewhere: nothing more may be pushed here. null where some of it was not kept, since
   * it is too large.
   */
  takeOut(): Buffer | null {
    if (this.#tooLarge) return null;
    const stuffed = Buffer.concat(this.#chunks, this.#stuffed);
    this.#chunks = [];
    return stuffed;
  }

  /** To be called once, after `end`. */
  collected(): Collected {
    if (this.#tooLarge) return { kind: 'too-large' };
    const only = this.#chunks.length === 1 ? this.#chunks[0] : undefined;
    const stuffed = only ?? Buffer.concat(this.#chunks, this.#stuffed);
    this.#chunks = [];
    const body = stuffed.subarray(0, stuffed.length - TERMINATOR.length);
    if (hasBareLineEnd(body)) return { kind: 'bare-line-end' };
    const octets = removeStuffing(body);
    if (octets.length > this.#maxOctets) return { kind: 'too-large' };
    if (octets.length === body.length && !octets.includes(NUL)) asItCame.set(octets, stuffed);
    return { kind: 'message', octets };
  }

  /** Offset in `chunk` just behind the end of data; -1 where it does not end here. */
  #endIn(chunk: Buffer): number {
    // An end that began in an earlier chunk comes before any that lies wholly in this one.
    SEAM.writeUInt32BE(this.#tail);
    const copied = chunk.copy(SEAM, TAIL_OCTETS, 0, END.length - 1);
    SEAM.fill(NUL, TAIL_OCTETS + copied);
    const across = SEAM.indexOf(END);
    if (across !== -1 && across < TAIL_OCTETS) return across + END.length - TAIL_OCTETS;
    const inside = chunk.indexOf(END);
    return inside === -1 ? -1 : inside + END.length;
  }

  #keep(chunk: Buffer): void {
    this.#stuffed += chunk.length;
    if (this.#stuffed > this.#maxStuffed) {
      this.#tooLarge = true;
      this.#chunks = [];
    }
    if (this.#tooLarge || chunk.length === 0) return;
    const last = this.#chunks.at(-1);
    const joined = last === undefined ? null : this.#small.joined(last, chunk);
    if (joined === null) this.#chunks.push(chunk);
    else this.#chunks[this.#chunks.length - 1] = joined;
  }
}

function lastFour(tail: number, chunk: Buffer): number {
  if (chunk.length >= TAIL_OCTETS) return chunk.readUInt32BE(chunk.length - TAIL_OCTETS);
  return chunk.reduce((last, octet) => ((last << 8) | octet) >>> 0, tail);
}

/** RFC 5321 §4.5.2: of a line that begins with a dot, the dot goes. Shares memory with `stuffed` where there is none. */
function removeStuffing(stuffed: Buffer): Buffer {
  const parts: Buffer[] = [];
  let from = stuffed[0] === DOT ? 1 : 0;
  for (let at = stuffed.indexOf(LINE_WITH_DOT); at !== -1; at = stuffed.indexOf(LINE_WITH_DOT, at + 2)) {
    parts.push(stuffed.subarray(from, at + 2));
    from = at + 3;
  }
  const last = stuffed.subarray(from);
  if (parts.length === 0) return last;
  parts.push(last);
  return Buffer.concat(parts);
}

/**
 * Messages that came without a fault of line-faults.ts and without a line that begins with a dot, as they came: so they may leave, and
 * nothing is looked for again. Danger: the octets of a message are never changed in their place.
 */
const asItCame = new WeakMap<Buffer, Buffer>();

/**
 * The message as it goes over the wire after 354: stuffed, with CRLF at its end, and the end of data.
 * The parts are in order and share memory with `octets`. Null for a message with a fault of line-faults.ts: it must not be sent.
 */
export function stuffed(octets: Buffer): Buffer[] | null {
  const came = asItCame.get(octets);
  if (came !== undefined) return [came];
  if (hasBareLineEnd(octets) || hasNulBeforeDot(octets)) return null;
  const parts: Buffer[] = [];
  const dot = TERMINATOR.subarray(0, 1);
  if (octets[0] === DOT) parts.push(dot);
  let from = 0;
  for (let at = octets.indexOf(LINE_WITH_DOT); at !== -1; at = octets.indexOf(LINE_WITH_DOT, at + 2)) {
    parts.push(octets.subarray(from, at + 2), dot);
    from = at + 2;
  }
  if (from < octets.length) parts.push(octets.subarray(from));
  const ended = octets.length === 0 || octets[octets.length - 1] === 10;
  parts.push(ended ? TERMINATOR : END);
  return parts;
}
