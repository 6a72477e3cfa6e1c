import type { OctetTransform } from '../octets/transform.ts';

/**
 * Byte-stuffing (RFC 1939 §3) of what comes in pieces. A line begins behind CRLF and at the very beginning.
 * Nothing is kept back: each piece is answered whole.
 */

const CR = 0x0d;
const LF = 0x0a;
const DOT = Buffer.from('.');
const CRLF_DOT = Buffer.from('\r\n.');
const NOTHING = Buffer.alloc(0);

/** Where lines begin, over the borders of pieces. */
class LineStarts {
  /** The last octets before the next piece. */
  #before: 'line-end' | 'cr' | 'other' = 'line-end';

  /** Offsets in the piece of dots that begin a line. */
  find(piece: Buffer): number[] {
    const found: number[] = [];
    if (piece.length === 0) return found;
    if (this.#before === 'line-end' && piece[0] === DOT[0]) found.push(0);
    if (this.#before === 'cr' && piece[0] === LF && piece[1] === DOT[0]) found.push(1);
    for (let at = piece.indexOf(CRLF_DOT); at !== -1; at = piece.indexOf(CRLF_DOT, at + 2))
      found.push(at + 2);
    const last = piece[piece.length - 1];
    const cr = piece.length > 1 ? piece[piece.length - 2] === CR : this.#before === 'cr';
    if (last === CR) this.#before = 'cr';
    else this.#before = last === LF && cr ? 'line-end' : 'other';
    return found;
  }

  /** Whether the last line has ended, or there is none yet. */
  get ended(): boolean {
    return this.#before === 'line-end';
  }
}

/** Takes the dot off lines that begin with one. */
export class Unstuffing implements OctetTransform {
  readonly #lines = new LineStarts();

  /** The same buffer where nothing is to be done. */
  update(piece: Buffer): Buffer {
    const dots = this.#lines.find(piece);
    if (dots.length === 0) return piece;
    const result = Buffer.allocUnsafe(piece.length - dots.length);
    let to = 0;
    let from = 0;
    for (const dot of [...dots, piece.length]) {
      to += piece.copy(result, to, from, dot);
      from = dot + 1;
    }
    return result;
  }

  finish(): Buffer {
    return NOTHING;
  }
}

/** Puts a dot before lines that begin with one, and the end of the reply behind them all. */
export class Stuffing implements OctetTransform {
  readonly #lines = new LineStarts();

  /** The same buffer where nothing is to be done. */
  update(piece: Buffer): Buffer {
    const dots = this.#lines.find(piece);
    if (dots.length === 0) return piece;
    const result = Buffer.allocUnsafe(piece.length + dots.length);
    let to = 0;
    let from = 0;
    for (const dot of dots) {
      to += piece.copy(result, to, from, dot);
      to += DOT.copy(result, to);
      from = dot;
    }
    piece.copy(result, to, from);
    return result;
  }

  /** The terminating line, on a line of its own. */
  finish(): Buffer {
    return Buffer.from(this.#lines.ended ? '.\r\n' : '\r\n.\r\n');
  }
}
