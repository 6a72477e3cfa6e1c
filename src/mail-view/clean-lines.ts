import { CarryingTransform, type Converted, type OctetTransform } from '../octets/transform.ts';

/** Lines that IMAP and POP3 can carry: CRLF line ends, no NUL, at most 998 octets each (RFC 5321 §4.5.3.1.6). */

const LF = 0x0a;
const CR = 0x0d;
const LINE_OCTETS = 998;

/** Looks whether octets that come in chunks are such lines; the last one may lack its line end. */
export class CleanLineCheck {
  #clean = true;
  /** Of the unfinished line. */
  #column = 0;
  #afterCr = false;

  update(octets: Buffer): void {
    if (this.#clean && octets.length > 0) this.#clean = octets.indexOf(0) === -1 && this.#areLines(octets);
  }

  /** Whether every line was clean. Nothing comes after it. */
  finish(): boolean {
    return this.#clean && !this.#afterCr;
  }

  #areLines(octets: Buffer): boolean {
    let start = 0;
    let column = this.#column;
    if (this.#afterCr) {
      if (octets[0] !== LF) return false;
      this.#afterCr = false;
      start = 1;
      column = 0;
    }
    let cr = octets.indexOf(CR, start);
    for (let lf = octets.indexOf(LF, start); lf !== -1; lf = octets.indexOf(LF, start)) {
      if (cr === -1 || cr !== lf - 1 || column + cr - start > LINE_OCTETS) return false;
      start = lf + 1;
      column = 0;
      cr = octets.indexOf(CR, start);
    }
    const end = cr === -1 ? octets.length : cr;
    this.#afterCr = cr !== -1;
    this.#column = column + end - start;
    return this.#column <= LINE_OCTETS && (cr === -1 || cr === octets.length - 1);
  }
}

/** Looks whether text that comes in chunks needs an encoding: for a NUL, or a line that is too long whatever ends it. */
export class EncodingNeed {
  #needed = false;
  #column = 0;
  #last = -1;

  update(octets: Buffer): 'stop' | undefined {
    if (octets.indexOf(0) !== -1) this.#needed = true;
    let start = 0;
    for (let lf = octets.indexOf(LF); lf !== -1 && !this.#needed; lf = octets.indexOf(LF, start)) {
      const afterCr = (lf === 0 ? this.#last : octets[lf - 1]) === CR;
      if (this.#column + lf - start - (afterCr ? 1 : 0) > LINE_OCTETS) this.#needed = true;
      start = lf + 1;
      this.#column = 0;
    }
    this.#column += octets.length - start;
    this.#last = octets.at(-1) ?? this.#last;
    return this.#needed ? 'stop' : undefined;
  }

  finish(): boolean {
    return this.#needed || this.#column > LINE_OCTETS;
  }
}

/** Lone CR and LF become CRLF, NUL becomes a blank. */
export class CleanLines implements OctetTransform {
  #afterCr = false;

  update(octets: Buffer): Buffer {
    if (octets.length === 0) return octets;
    const result = cleaned(octets, this.#afterCr);
    this.#afterCr = octets.at(-1) === CR;
    return result;
  }

  finish(): Buffer {
    return this.#afterCr ? Buffer.from([LF]) : Buffer.alloc(0);
  }
}

/** The same for octets that are all there. The same buffer comes back when nothing is to do. */
export function cleanLines(octets: Buffer): Buffer {
  const lines = new CleanLines();
  const result = lines.update(octets);
  const rest = lines.finish();
  return rest.length === 0 ? result : Buffer.concat([result, rest]);
}

/** A CR at the end is left to what follows. */
function cleaned(octets: Buffer, afterCr: boolean): Buffer {
  let extra = afterCr && octets[0] !== LF ? 1 : 0;
  let odd = false;
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i];
    if (octet === LF && (i === 0 ? !afterCr : octets[i - 1] !== CR)) extra++;
    else if (octet === CR && i + 1 < octets.length && octets[i + 1] !== LF) extra++;
    else if (octet === 0) odd = true;
  }
  if (extra === 0 && !odd) return octets;
  const result = Buffer.allocUnsafe(octets.length + extra);
  let to = 0;
  if (afterCr && octets[0] !== LF) result[to++] = LF;
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i] ?? 0;
    if (octet === LF && (i === 0 ? !afterCr : octets[i - 1] !== CR)) result[to++] = CR;
    result[to++] = octet === 0 ? 0x20 : octet;
    if (octet === CR && i + 1 < octets.length && octets[i + 1] !== LF) result[to++] = LF;
  }
  return result;
}

const ROW_OCTETS = 57;
const COLUMNS = 76;

/** RFC 2045 §6.8: lines of 76; no line end after the last, which belongs to the boundary that follows. */
export class Base64Rows extends CarryingTransform {
  #begun = false;

  override convert(octets: Buffer, last: boolean): Converted {
    const consumed = last ? octets.length : octets.length - (octets.length % ROW_OCTETS);
    if (consumed === 0) return { output: Buffer.alloc(0), consumed };
    const text = octets.toString('base64', 0, consumed);
    const rows: string[] = this.#begun ? [''] : [];
    for (let i = 0; i < text.length; i += COLUMNS) rows.push(text.slice(i, i + COLUMNS));
    this.#begun = true;
    return { output: Buffer.from(rows.join('\r\n'), 'latin1'), consumed };
  }
}
