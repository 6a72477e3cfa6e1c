import { nextControl, wordsOf } from '../octets/words.ts';

/**
 * What must not be in a message that leaves by SMTP: a bare CR or LF, and a line that begins with NULs and a dot. It is not stuffed, and
 * a server that drops NULs would read `NUL . CRLF` as the end of data (SMTP smuggling).
 */
export type LineFault = 'bare-line-end' | 'nul-before-dot';

const CR = 13;
const LF = 10;
const DOT = 46;
const NULS_AND_DOT = /\n\0+\./;
const NULS_AT_END = /\n\0+$/;

/** Whether a CR is without its LF, or a LF without its CR. Four octets at a time, and nothing is made of them that has to be collected. */
export function hasBareLineEnd(octets: Buffer): boolean {
  const { start, view } = wordsOf(octets);
  let at = 0;
  for (;;) {
    // Never before the first word: that is at most three octets away.
    if (((at - start) & 3) === 0) at = start + 4 * nextControl(view, (at - start) >> 2);
    if (at >= octets.length) return false;
    if (octets[at] === LF) return true;
    if (octets[at] === CR) {
      if (octets[at + 1] !== LF) return true;
      at += 2;
    } else at++;
  }
}

/** Whether a line begins with NULs and a dot; the first one begins where the octets do. */
export function hasNulBeforeDot(octets: Buffer): boolean {
  // Hardly a message has a NUL at all.
  if (!octets.includes(0)) return false;
  return /^\0+\./.test(octets.toString('latin1')) || NULS_AND_DOT.test(octets.toString('latin1'));
}

/**
 * Looks for faults in a message that comes in chunks; whether there is one does not depend on where they end, only which of several is
 * told. Serves one message.
 */
export class LineFaults {
  /** A CR that waits for its LF. */
  #held = false;
  readonly #nuls = new NulBeforeDot();

  /** Whether the last line has its CRLF; so has a message without octets. */
  get atLine(): boolean {
    return this.#nuls.atLine;
  }

  /** @returns null: nothing so far. After a fault nothing more may be given. */
  update(chunk: Buffer): LineFault | null {
    const [first] = chunk;
    if (first === undefined) return null;
    const last = chunk[chunk.length - 1];
    if (this.#held && first !== LF) return 'bare-line-end';
    const inside = chunk.subarray(this.#held ? 1 : 0, last === CR ? chunk.length - 1 : chunk.length);
    if (hasBareLineEnd(inside)) return 'bare-line-end';
    this.#held = last === CR;
    return this.#nuls.update(chunk) ? 'nul-before-dot' : null;
  }

  /** At the end of the message. */
  finish(): LineFault | null {
    return this.#held ? 'bare-line-end' : null;
  }
}

/** `hasNulBeforeDot` for octets that come in chunks. */
export class NulBeforeDot {
  /** What there is of the last line: nothing, NULs alone, anything else. */
  #line: 'nothing' | 'nuls' | 'more' = 'nothing';

  /** Whether the last line has its LF; so has what has no octets. */
  get atLine(): boolean {
    return this.#line === 'nothing';
  }

  /** Whether there is one. @param chunk not empty */
  update(chunk: Buffer): boolean {
    let at = 0;
    if (this.#line !== 'more') {
      while (chunk[at] === 0) at++;
      if (at > 0) this.#line = 'nuls';
      if (at === chunk.length) return false;
      if (this.#line === 'nuls' && chunk[at] === DOT) return true;
    }
    this.#line = chunk[chunk.length - 1] === LF ? 'nothing' : 'more';
    if (!chunk.includes(0, at)) return false;
    const text = chunk.toString('latin1', Math.max(0, at - 1));
    if (NULS_AT_END.test(text)) this.#line = 'nuls';
    return NULS_AND_DOT.test(text);
  }
}
