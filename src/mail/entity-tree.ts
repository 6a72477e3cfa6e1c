import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Entity, HeaderField, MediaType, Range } from './entity.ts';
import { asBuffer, field, fieldsNamed, type Header, lineAfter, readHeader, withoutAtEnd } from './header.ts';
import { readMediaType } from './media-type.ts';
import type { Message } from './message.ts';

/**
 * The tree of MIME entities (RFC 2046 §5.1) as byte ranges of the original.
 *
 * One pass over the octets, however deep the nesting. What holds: ranges lie inside the range of their parent and do
 * not overlap; the outer boundary always wins over the inner one, so a part cannot reach beyond its own multipart.
 * message/rfc822 is a leaf: what is inside it is another message.
 */

/** Throws SealgateError `mail.too-complex` or `mail.header-too-large`; anything else is read somehow. */
export function readMessage(octets: Uint8Array): Message {
  const buffer = asBuffer(octets);
  return { octets: buffer, root: readEntity(buffer) };
}

/** Reads `range` of `octets` as an entity of its own; ranges in the result count from the start of `octets`. */
export function readEntity(
  octets: Uint8Array,
  range: Range = { start: 0, end: octets.byteLength },
  budget: TreeBudget = newTreeBudget(),
): Entity {
  const whole = { octets: asBuffer(octets).subarray(0, range.end), base: 0, last: true, total: range.end };
  const step = scanEntity(whole, range.start, budget).next();
  if (step.done !== true) throw new Error('all octets are there and more are asked for');
  return step.value;
}

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
export type TreeBudget = { entities: number; headerOctets: number };

export function newTreeBudget(): TreeBudget {
  return { entities: limits.mail.entities, headerOctets: limits.mail.treeHeaderOctets };
}

/**
 * Reads the entity at `start`. Where the window is too small, a generator yields a position and goes on when the window
 * holds the octets from there on and more than before: so one grammar serves messages in memory and in files.
 *
 * @param depth `root`: a multipart's parts are not looked for, and nothing is read behind the header
 */
export function* scanEntity(
  window: Window,
  start: number,
  budget: TreeBudget,
  depth: 'tree' | 'root' = 'tree',
): Generator<number, Entity, void> {
  const scanner = new Scanner(window, budget, depth);
  return (yield* readOne(scanner, start, 0, TEXT_PLAIN)).entity;
}

// RFC 2045 §5.2
const TEXT_PLAIN: MediaType = {
  type: 'text',
  subtype: 'plain',
  parameters: new Map([['charset', 'us-ascii']]),
};
// RFC 2046 §5.1.5: inside multipart/digest
const MESSAGE_RFC822: MediaType = { type: 'message', subtype: 'rfc822', parameters: new Map() };

/** A boundary line of one of the open multiparts; positions count in the whole message. */
type Delimiter = {
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
/** RFC 2046 §5.1.1 allows 70 octets; some senders go further. */
const BOUNDARY_OCTETS = 250;
/** What has to be at hand before it can be said of a line that it is no boundary line. */
const LINE_OCTETS = limits.mail.boundaryLineOctets;

class Scanner {
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

type Inside = { parts: Entity[]; ended: Delimiter | null };
type ReadOne = { entity: Entity; ended: Delimiter | null };

/** Reads the entity at `start` up to the next delimiter of an enclosing multipart. */
function* readOne(
  scanner: Scanner,
  start: number,
  depth: number,
  defaultType: MediaType,
): Generator<number, ReadOne, void> {
  if (depth > limits.mail.depth) throw tooComplex('parts nested too deep');
  if (--scanner.budget.entities < 0) throw tooComplex('too many parts');
  const header = yield* scanner.header(start);
  scanner.budget.headerOctets -= header.range.end - start;
  if (scanner.budget.headerOctets < 0) throw tooComplex('the headers of all parts together are too large');
  const type = readContentType(header.fields);
  const mediaType = type ?? defaultType;
  const boundary = scanner.depth === 'root' ? null : boundaryOf(mediaType);
  const inside: Inside =
    boundary === null || scanner.open.has(boundary)
      ? { parts: [], ended: scanner.open.size === 0 ? null : yield* scanner.nextDelimiter(header.bodyStart) }
      : yield* readParts(scanner, header, boundary, depth, mediaType);
  const end = inside.ended === null ? scanner.window.total : Math.max(start, inside.ended.lineEnd);
  const entity: Entity = {
    range: { start, end },
    header: { start, end: Math.min(header.range.end, end) },
    body: { start: Math.min(header.bodyStart, end), end },
    fields: within(header.fields, end),
    mediaType,
    declared: type !== null,
    transferEncoding: readTransferEncoding(header.fields),
    parts: endingBy(inside.parts, end),
  };
  return { entity, ended: inside.ended };
}

/**
 * An outer boundary line right behind an inner one: the line end between them belongs to the outer one, and so the part
 * in between, which has no octets, is where its multipart ends and not behind that.
 */
function endingBy(parts: readonly Entity[], end: number): readonly Entity[] {
  const last = parts.at(-1);
  if (last === undefined || last.range.start <= end) return parts;
  const nothing = { start: end, end };
  return [...parts.slice(0, -1), { ...last, range: nothing, header: nothing, body: nothing }];
}

/** The line end after the header of a part without empty line belongs to the delimiter. */
function within(fields: readonly HeaderField[], end: number): readonly HeaderField[] {
  const last = fields.at(-1);
  if (last === undefined || last.range.end <= end) return fields;
  return [...fields.slice(0, -1), { ...last, range: { start: last.range.start, end } }];
}

function* readParts(
  scanner: Scanner,
  header: Header,
  boundary: string,
  depth: number,
  mediaType: MediaType,
): Generator<number, Inside, void> {
  const parts: Entity[] = [];
  const defaultType = mediaType.subtype === 'digest' ? MESSAGE_RFC822 : TEXT_PLAIN;
  scanner.enter(boundary);
  let delimiter = yield* scanner.nextDelimiter(header.bodyStart);
  while (delimiter !== null && delimiter.boundary === boundary && !delimiter.closes) {
    const part: ReadOne = yield* readOne(scanner, delimiter.next, depth + 1, defaultType);
    parts.push(part.entity);
    delimiter = part.ended;
  }
  scanner.leave(boundary);
  // After the close delimiter comes the epilogue, in which only enclosing multiparts have a say.
  const closed = delimiter !== null && delimiter.boundary === boundary;
  if (!closed || delimiter === null) return { parts, ended: delimiter };
  return { parts, ended: scanner.open.size === 0 ? null : yield* scanner.nextDelimiter(delimiter.next) };
}

/** null: not a multipart whose parts can be told apart. */
export function boundaryOf(mediaType: MediaType): string | null {
  if (mediaType.type !== 'multipart') return null;
  const boundary = withoutAtEnd(mediaType.parameters.get('boundary') ?? '', ' \t');
  return boundary === '' || boundary.length > BOUNDARY_OCTETS ? null : boundary;
}

/** null: absent, said more than once, or not in the grammar. Readers disagree on which of two counts, so none does. */
function readContentType(fields: readonly HeaderField[]): MediaType | null {
  const found = field(fields, 'content-type');
  return found.kind === 'one' ? readMediaType(found.field.value) : null;
}

function readTransferEncoding(fields: readonly HeaderField[]): string {
  const values = new Set(
    fieldsNamed(fields, 'content-transfer-encoding').map((each) =>
      each.value
        .replace(/\([^()]*\)/g, '')
        .trim()
        .toLowerCase(),
    ),
  );
  const [first] = values;
  if (first === undefined) return '7bit';
  return values.size === 1 && first !== '' ? first : 'unknown';
}

export function tooComplex(reason: string): SealgateError {
  return new SealgateError({
    code: 'mail.too-complex',
    publicText: 'This message has more parts, or parts nested deeper, than this gateway reads.',
    duration: 'permanent',
    reason,
  });
}
