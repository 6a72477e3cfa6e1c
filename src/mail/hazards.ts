import { nextControl, nextControlOrEightBit, wordsOf } from '../octets/words.ts';
import { asBuffer } from './header.ts';

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

/** What a search for hazards found in octets as they are, and what it would have found in their canonical form. */
export type HazardSurvey = {
  hazards: Hazards;
  canonical: Hazards;
  /** LFs without CR: so much longer is the canonical form. */
  bareLineFeeds: number;
};

/** Looks at the octets once. */
export function hazardsIn(octets: Uint8Array): Hazards {
  return surveyHazards(octets).hazards;
}

export function surveyHazards(octets: Uint8Array): HazardSurvey {
  const search = new HazardSearch();
  search.update(asBuffer(octets));
  return search.finish();
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

const CR = 0x0d;
const LF = 0x0a;
const FROM = Buffer.from('From ');

/**
 * Looks for hazards in octets that come in chunks, four at a time: nearly every one is printable ASCII, or of a text in which it is known
 * already that others are.
 */
export class HazardSearch {
  #eightBit = false;
  #loneCarriageReturn = false;
  #bareLineFeeds = 0;
  #longLine = false;
  #trailingBlank = false;
  #fromLine = false;
  /** Octets of the unfinished line in former chunks, and how many of its first ones are those of `From `; -1: other ones. */
  #before = 0;
  #from = 0;
  #last = -1;
  #lastButOne = -1;

  update(octets: Buffer): undefined {
    const { length } = octets;
    if (length === 0) return;
    if (this.#last === CR && octets[0] !== LF) this.#loneCarriageReturn = true;
    if (this.#from !== -1 && this.#before > 0) this.#matchFrom(octets, 0);
    const words = wordsOf(octets);
    let eightBit = this.#eightBit;
    let lineStart = -this.#before;
    let i = 0;
    for (;;) {
      // Never before the first word: that is at most three octets away.
      if (((i - words.start) & 3) === 0) {
        const at = (i - words.start) >> 2;
        i =
          words.start + 4 * (eightBit ? nextControl(words.view, at) : nextControlOrEightBit(words.view, at));
      }
      if (i >= length) break;
      const octet = octets[i] ?? 0;
      if (octet === LF) {
        const afterCr = (i > 0 ? octets[i - 1] : this.#last) === CR;
        if (!afterCr) this.#bareLineFeeds++;
        this.#endLine(octets, lineStart, afterCr ? i - 1 : i);
        lineStart = i + 1;
      } else if (octet === CR) {
        if (i + 1 < length && octets[i + 1] !== LF) this.#loneCarriageReturn = true;
      } else if (octet === 0 || octet > 0x7f) eightBit = true;
      i++;
    }
    this.#eightBit = eightBit;
    if (lineStart >= 0) {
      this.#from = 0;
      this.#matchFrom(octets, lineStart);
    }
    this.#before = length - lineStart;
    this.#lastButOne = length > 1 ? (octets[length - 2] ?? -1) : this.#last;
    this.#last = octets[length - 1] ?? -1;
  }

  finish(): HazardSurvey {
    const nothing = Buffer.alloc(0);
    if (this.#last === CR) this.#loneCarriageReturn = true;
    this.#endLine(nothing, -this.#before, 0);
    const canonical = {
      eightBit: this.#eightBit,
      bareLineEnd: this.#loneCarriageReturn,
      longLine: this.#longLine,
      trailingBlank: this.#trailingBlank,
      fromLine: this.#fromLine,
    };
    const bareLineEnd = this.#loneCarriageReturn || this.#bareLineFeeds > 0;
    return { hazards: { ...canonical, bareLineEnd }, canonical, bareLineFeeds: this.#bareLineFeeds };
  }

  /** @param start below 0: so many octets before the chunk; `end` is below 0 where the CR was the last octet before it */
  #endLine(octets: Buffer, start: number, end: number): void {
    if (end - start > 998) this.#longLine = true;
    if (end === start) return;
    const last = end > 0 ? octets[end - 1] : end === 0 ? this.#last : this.#lastButOne;
    if (last === 0x20 || last === 0x09) this.#trailingBlank = true;
    if (start >= 0 && octets[start] === 0x46 && startsFrom(octets, start)) this.#fromLine = true;
  }

  /** Goes on comparing the unfinished line with `From `, of which `#from` octets were there. */
  #matchFrom(octets: Buffer, at: number): void {
    for (let i = at; i < octets.length && this.#from < FROM.length; i++) {
      if (octets[i] !== FROM[this.#from]) {
        this.#from = -1;
        return;
      }
      this.#from++;
    }
    if (this.#from === FROM.length) this.#fromLine = true;
  }
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
