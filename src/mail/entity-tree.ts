import { limits } from '../limits.ts';
import type { Entity, HeaderField, MediaType, Range } from './entity.ts';
import {
  type Delimiter,
  newTreeBudget,
  Scanner,
  type TreeBudget,
  tooComplex,
  type Window,
} from './entity-scanner.ts';
import { asBuffer, field, fieldsNamed, type Header, withoutAtEnd } from './header.ts';
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

/**
 * Reads `range` of `octets` as an entity of its own; ranges in the result count from the start of `octets`.
 *
 * @param depth as `scanEntity` has it
 */
export function readEntity(
  octets: Uint8Array,
  range: Range = { start: 0, end: octets.byteLength },
  budget: TreeBudget = newTreeBudget(),
  depth: 'tree' | 'root' = 'tree',
): Entity {
  const whole = { octets: asBuffer(octets).subarray(0, range.end), base: 0, last: true, total: range.end };
  const step = scanEntity(whole, range.start, budget, depth).next();
  if (step.done !== true) throw new Error('all octets are there and more are asked for');
  return step.value;
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

/** RFC 2046 §5.1.1 allows 70 octets; some senders go further. */
const BOUNDARY_OCTETS = 250;

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
  scanner.budget.fields -= header.fields.length;
  if (scanner.budget.headerOctets < 0 || scanner.budget.fields < 0)
    throw tooComplex('the headers of all parts together are too large');
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
