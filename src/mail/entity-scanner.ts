import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Range } from './entity.ts';
import { type Header, lineAfter, readHeader } from './header.ts';

/**
 * Finds headers and boundary lines in octets of which only a window is at hand.
 *
 * A generator yields a position where the window is too small, and goes on when it holds the octets from there on and more than
 * before. What a window larger than the message would show is what is found.
 */

/** The octets that a scanner can see: from `base` on, counted in the whole message. */
export type Window = {
  readonly octets: Buffer;
  readonly base: number;
  /** Whether nothing follows `octets`. */
  readonly last: boolean;
  /** Where the entity that is read ends at the latest. */
  readonly total: number;
};

/** What is left of limits.mail for one message and the messages inside it. */
export type TreeBudget = { entities: number; headerOctets: number; fields: number };

export function newTreeBudget(): TreeBudget {
  const { entities, treeHeaderOctets: headerOctets, treeFields: fields } = limits.mail;
  return { entities, headerOctets, fields };
}

/** A boundary line of one of the open multiparts; positions count in the whole message. */
export type Delimiter = {
  /** Where the line end before it begins, which belongs to it (RFC 2046 §5.1.1). */
  lineEnd: number;
  next: number;
  boundary: string;
  closes: boolean;
};

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const LINE_OF_DASHES = Buffer.from('\n--');
/** What has to be at hand before it can be said of a line that it is no boundary line. */
const LINE_OCTETS = limits.mail.boundaryLineOctets;

export class Scanner {
  readonly window: Window;
  readonly budget: TreeBudget;
  readonly depth: 'tree' | 'root';
  /** Boundaries of the open multiparts, outermost first (a Set keeps the order of insertion). */
  readonly open = new Set<string>();
  /** First octets and lengths of boundary lines, so that a body full of lines with dashes costs little. */
  private readonly firsts = new Set<number>();
  private readonly lengths = new Set<number>();

  constructor(window: Window, budget: TreeBudget, depth: 'tree' | 'root') {
    this.window = window;
    this.budget = budget;
    this.depth = depth;
  }

  enter(boundary: string): void {
    this.open.add(boundary);
    this.measure();
  }

  leave(boundary: string): void {
    this.open.delete(boundary);
    this.measure();
  }

  private measure(): void {
    this.firsts.clear();
    this.lengths.clear();
    for (const boundary of this.open) {
      this.firsts.add(boundary.charCodeAt(0));
      this.lengths.add(boundary.length + 2).add(boundary.length + 4);
    }
  }

  /**
   * The delimiter on the line that begins at `at` in the window, if it is one of an open multipart. LINE_OCTETS of the
   * line are at hand, or all of it.
   */
  delimiterAt(at: number): Delimiter | null {
    const { octets, base } = this.window;
    if (octets[at] !== DASH || octets[at + 1] !== DASH) return null;
    if (!this.firsts.has(octets[at + 2] ?? -1)) return null;
    const bound = Math.min(octets.length, at + LINE_OCTETS);
    const next = lineAfter(octets, at, bound);
    let end = next;
    if (end > at && octets[end - 1] === LF) end--;
    const cut = end === bound && bound - at === LINE_OCTETS;
    if (end > at && octets[end - 1] === CR) end--;
    // transport-padding := *LWSP-char
    while (end > at && (octets[end - 1] === 0x20 || octets[end - 1] === 0x09)) end--;
    if (!this.lengths.has(end - at)) return null;
    const text = octets.toString('latin1', at + 2, end);
    const stem = text.endsWith('--') ? text.slice(0, -2) : '';
    const opens = this.open.has(text);
    const closes = this.open.has(stem) && !(opens && this.isOutside(text, stem));
    if (!opens && !closes) return null;
    // What comes after so many blanks may make it a boundary line or not, and readers would not agree.
    if (cut) throw tooComplex('a boundary line longer than allowed');
    let lineEnd = at;
    if (lineEnd > 0 && octets[lineEnd - 1] === LF) lineEnd--;
    if (lineEnd > 0 && lineEnd < at && octets[lineEnd - 1] === CR) lineEnd--;
    return { lineEnd: base + lineEnd, next: base + next, boundary: closes ? stem : text, closes };
  }

  /** `--a--` with the boundaries "a" and "a--" both open: the outer multipart has the word. */
  private isOutside(boundary: string, other: string): boolean {
    for (const each of this.open) {
      if (each === boundary) return true;
      if (each === other) return false;
    }
    return false;
  }

  /** The first delimiter at or after `from`, which is the start of a line. */
  *nextDelimiter(from: number): Generator<number, Delimiter | null, void> {
    let search = from;
    let lineStart = from;
    for (;;) {
      const { octets, base, last } = this.window;
      if (lineStart !== -1) {
        const at = lineStart - base;
        if (!last && octets.length - at < LINE_OCTETS && octets.indexOf(LF, at) === -1) {
          // With the line end before it, and the octet before that.
          yield lineStart - 2;
          continue;
        }
        const found = this.delimiterAt(at);
        if (found !== null) return found;
      }
      const dashes = octets.indexOf(LINE_OF_DASHES, search - base);
      if (dashes !== -1) {
        search = base + dashes + 1;
        lineStart = search;
      } else if (last) return null;
      else {
        // A line end and one dash may be there already, and a CR before them.
        search = Math.max(search, base + octets.length - 2);
        lineStart = -1;
        yield search - 1;
      }
    }
  }

  /** The header at `start`; ranges count in the whole message. */
  *header(start: number): Generator<number, Header, void> {
    for (;;) {
      const { octets, base, last } = this.window;
      const from = start - base;
      // Only whole lines, but for one that is longer than a header may be.
      const tooLong = octets.length - from > limits.mail.headerOctets + LINE_OCTETS;
      const limitEnd = last || tooLong ? octets.length : octets.lastIndexOf(LF) + 1;
      if (last || limitEnd > from) {
        const header = readHeader(octets, from, limitEnd, (at) => this.delimiterAt(at) !== null);
        if (last || header.bodyStart < limitEnd) return moved(header, base);
      }
      yield start - 2;
    }
  }
}

function moved(header: Header, by: number): Header {
  if (by === 0) return header;
  const move = ({ start, end }: Range): Range => ({ start: start + by, end: end + by });
  return {
    range: move(header.range),
    fields: header.fields.map((each) => ({ ...each, range: move(each.range) })),
    bodyStart: header.bodyStart + by,
  };
}

export function tooComplex(reason: string): SealgateError {
  return new SealgateError({
    code: 'mail.too-complex',
    publicText: 'This message has more parts, or parts nested deeper, than this gateway reads.',
    duration: 'permanent',
    reason,
  });
}
