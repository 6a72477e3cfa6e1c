import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Entity, HeaderField, MediaType, Range } from './entity.ts';
import { asBuffer, field, fieldsNamed, type Header, lineAfter, readHeader } from './header.ts';
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
export function readEntity(octets: Uint8Array, range: Range = { start: 0, end: octets.byteLength }): Entity {
  const buffer = asBuffer(octets).subarray(0, range.end);
  return readOne(new Scanner(buffer), range.start, 0, TEXT_PLAIN).entity;
}

// RFC 2045 §5.2
const TEXT_PLAIN: MediaType = {
  type: 'text',
  subtype: 'plain',
  parameters: new Map([['charset', 'us-ascii']]),
};
// RFC 2046 §5.1.5: inside multipart/digest
const MESSAGE_RFC822: MediaType = { type: 'message', subtype: 'rfc822', parameters: new Map() };

/** A boundary line of one of the open multiparts. */
type Delimiter = { lineStart: number; next: number; boundary: string; closes: boolean };

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const LINE_OF_DASHES = Buffer.from('\n--');
/** RFC 2046 §5.1.1 allows 70 octets; some senders go further. */
const BOUNDARY_OCTETS = 250;

class Scanner {
  readonly octets: Buffer;
  /** Boundaries of the open multiparts, outermost first (a Set keeps the order of insertion). */
  readonly open = new Set<string>();
  /** First octets and lengths of boundary lines, so that a body full of lines with dashes costs little. */
  private readonly firsts = new Set<number>();
  private readonly lengths = new Set<number>();
  entities = 0;

  constructor(octets: Buffer) {
    this.octets = octets;
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

  /** The delimiter on the line that begins at `lineStart`, if it is one of an open multipart. */
  delimiterAt(lineStart: number): Delimiter | null {
    const { octets } = this;
    if (octets[lineStart] !== DASH || octets[lineStart + 1] !== DASH) return null;
    if (!this.firsts.has(octets[lineStart + 2] ?? -1)) return null;
    const next = lineAfter(octets, lineStart, octets.length);
    let end = next;
    if (end > lineStart && octets[end - 1] === LF) end--;
    if (end > lineStart && octets[end - 1] === CR) end--;
    // transport-padding := *LWSP-char
    while (end > lineStart && (octets[end - 1] === 0x20 || octets[end - 1] === 0x09)) end--;
    if (!this.lengths.has(end - lineStart)) return null;
    const text = octets.toString('latin1', lineStart + 2, end);
    const stem = text.endsWith('--') ? text.slice(0, -2) : '';
    const opens = this.open.has(text);
    if (this.open.has(stem) && !(opens && this.isOutside(text, stem))) {
      return { lineStart, next, boundary: stem, closes: true };
    }
    return opens ? { lineStart, next, boundary: text, closes: false } : null;
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
  nextDelimiter(from: number): Delimiter | null {
    if (this.open.size === 0) return null;
    const here = this.delimiterAt(from);
    if (here !== null) return here;
    let at = this.octets.indexOf(LINE_OF_DASHES, from);
    while (at !== -1) {
      const found = this.delimiterAt(at + 1);
      if (found !== null) return found;
      at = this.octets.indexOf(LINE_OF_DASHES, at + 1);
    }
    return null;
  }
}

type ReadOne = { entity: Entity; ended: Delimiter | null };

/** Reads the entity at `start` up to the next delimiter of an enclosing multipart. */
function readOne(scanner: Scanner, start: number, depth: number, defaultType: MediaType): ReadOne {
  if (depth > limits.mail.depth) throw tooComplex('parts nested too deep');
  if (++scanner.entities > limits.mail.entities) throw tooComplex('too many parts');
  const header = readHeader(
    scanner.octets,
    start,
    scanner.octets.length,
    (at) => scanner.delimiterAt(at) !== null,
  );
  const type = readContentType(header.fields);
  const mediaType = type ?? defaultType;
  const boundary = boundaryOf(mediaType);
  const inside =
    boundary === null || scanner.open.has(boundary)
      ? { parts: [], ended: scanner.nextDelimiter(header.bodyStart) }
      : readParts(scanner, header, boundary, depth, mediaType);
  const end =
    inside.ended === null ? scanner.octets.length : beforeLineEnd(scanner.octets, inside.ended, start);
  const entity: Entity = {
    range: { start, end },
    header: { start, end: Math.min(header.range.end, end) },
    body: { start: Math.min(header.bodyStart, end), end },
    fields: within(header.fields, end),
    mediaType,
    declared: type !== null,
    transferEncoding: readTransferEncoding(header.fields),
    parts: inside.parts,
  };
  return { entity, ended: inside.ended };
}

/** The line end after the header of a part without empty line belongs to the delimiter. */
function within(fields: readonly HeaderField[], end: number): readonly HeaderField[] {
  const last = fields.at(-1);
  if (last === undefined || last.range.end <= end) return fields;
  return [...fields.slice(0, -1), { ...last, range: { start: last.range.start, end } }];
}

function readParts(
  scanner: Scanner,
  header: Header,
  boundary: string,
  depth: number,
  mediaType: MediaType,
): { parts: Entity[]; ended: Delimiter | null } {
  const parts: Entity[] = [];
  const defaultType = mediaType.subtype === 'digest' ? MESSAGE_RFC822 : TEXT_PLAIN;
  scanner.enter(boundary);
  let delimiter = scanner.nextDelimiter(header.bodyStart);
  while (delimiter !== null && delimiter.boundary === boundary && !delimiter.closes) {
    const part = readOne(scanner, delimiter.next, depth + 1, defaultType);
    parts.push(part.entity);
    delimiter = part.ended;
  }
  scanner.leave(boundary);
  // After the close delimiter comes the epilogue, in which only enclosing multiparts have a say.
  const closed = delimiter !== null && delimiter.boundary === boundary;
  return { parts, ended: closed && delimiter !== null ? scanner.nextDelimiter(delimiter.next) : delimiter };
}

/** The line end before a delimiter belongs to it (RFC 2046 §5.1.1). */
function beforeLineEnd(octets: Buffer, delimiter: Delimiter, start: number): number {
  let end = delimiter.lineStart;
  if (end > start && octets[end - 1] === LF) end--;
  if (end > start && octets[end - 1] === CR) end--;
  return end;
}

function boundaryOf(mediaType: MediaType): string | null {
  if (mediaType.type !== 'multipart') return null;
  const boundary = mediaType.parameters.get('boundary')?.replace(/[ \t]+$/, '');
  return boundary === undefined || boundary === '' || boundary.length > BOUNDARY_OCTETS ? null : boundary;
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
