import type { Entity, HeaderField, MediaType, Range } from './entity.ts';
import { field, fieldsNamed, readHeader } from './header.ts';
import {
  AUTHORED_FIELDS,
  type AuthoredField,
  isAddedOnTheWay,
  isAuthored,
  isSingle,
  isStructural,
  valueKey,
} from './header-protection-fields.ts';
import { authorKey } from './header-protection-from.ts';
import { readMediaType } from './media-type.ts';
import type { Message } from './message.ts';

/**
 * Reads the header fields that are protected together with a message: RFC 9788 §4.1 and §4.2, and the older form in which
 * the whole message is wrapped (RFC 8551 §3.1, RFC 9788 §4.10).
 *
 * Holds: only the root of the innermost payload is asked, and it is the caller who knows that it is one.
 * Must never happen: a forwarded message read as if its header were that of the message that brings it; a claim that is
 * said twice, or not in the grammar, taken for one.
 */
export type ReadProtectedHeader = {
  scheme: 'rfc9788' | 'wrapped';
  /** What `hp` says; null in the wrapped form, which says nothing. */
  kind: 'clear' | 'cipher' | null;
  /** What the ranges of `fields` are in. */
  octets: Buffer;
  /** All but structural fields and HP-Outer; lines that are no fields among them. */
  fields: readonly HeaderField[];
  /** What the author says he left outside (RFC 9788 §2.2); null: he says nothing. */
  recorded: readonly { name: string; value: string }[] | null;
  /** Header of the entity that is left to show: its structural fields and the empty line. */
  contentHeader: Buffer;
  /** Its body, in the payload. */
  body: Range;
};

/**
 * null: the header is not protected.
 *
 * @param payload the innermost payload, everything signed or encrypted taken off; of its octets only those of its header are
 *   looked at, and of the header of a message that begins its body
 * @param outer the fields of the message around it
 */
export function readProtectedHeader(
  payload: Message,
  outer: readonly HeaderField[],
): ReadProtectedHeader | null {
  return readMarked(payload) ?? readWrapped(payload, outer);
}

/** RFC 9788 §4.1: the parameter `hp` of the payload's root. */
function readMarked({ octets, root }: Message): ReadProtectedHeader | null {
  const kind = markOf(root);
  if (kind !== 'clear' && kind !== 'cipher') return null;
  const records = fieldsNamed(root.fields, 'hp-outer').flatMap(({ value }) => recordOf(value) ?? []);
  return {
    scheme: 'rfc9788',
    kind,
    octets,
    fields: protectedFields(root.fields),
    // RFC 9788 §2.2: only where something may have been hidden.
    recorded: kind === 'cipher' ? records : null,
    contentHeader: headerOf(octets, root.fields),
    body: root.body,
  };
}

/** Lower case; undefined: there is none. A Content-Type that is not in the grammar, or stands there twice, says nothing. */
function markOf({ declared, mediaType }: Pick<Entity, 'declared' | 'mediaType'>): string | undefined {
  return declared ? hpOf(mediaType) : undefined;
}

function hpOf(mediaType: MediaType | null): string | undefined {
  return mediaType?.parameters.get('hp')?.toLowerCase();
}

/**
 * RFC 9788 §4.10.1: the payload is one message, which is not signed or encrypted again, and nobody says `hp`.
 * A message that somebody forwards with nothing around it looks the same. So it has to say that it is none (RFC 8551 §3.1:
 * `forwarded=no`), or be from the one who sent it.
 */
function readWrapped({ octets, root }: Message, outer: readonly HeaderField[]): ReadProtectedHeader | null {
  const { type, subtype, parameters } = root.mediaType;
  if (!root.declared || type !== 'message' || (subtype !== 'rfc822' && subtype !== 'global')) return null;
  if (markOf(root) !== undefined || !IDENTITY.has(root.transferEncoding)) return null;
  const inner = readHeader(octets, root.body.start, Math.min(root.body.end, octets.length));
  const contentType = field(inner.fields, 'content-type');
  const mediaType = contentType.kind === 'one' ? readMediaType(contentType.field.value) : null;
  // Of two Content-Types, or one that is in no grammar, nobody can say that it is no further layer.
  if (contentType.kind !== 'none' && mediaType === null) return null;
  if (mediaType !== null && (hpOf(mediaType) !== undefined || isLayer(mediaType))) return null;
  const fields = protectedFields(inner.fields);
  const forwarded = parameters.get('forwarded')?.toLowerCase();
  if (forwarded !== 'no') {
    const author = authorKey(fields);
    if (forwarded !== undefined || author === null || author !== authorKey(outer)) return null;
  }
  return {
    scheme: 'wrapped',
    kind: null,
    octets,
    fields,
    recorded: null,
    contentHeader: headerOf(octets, inner.fields),
    body: { start: inner.bodyStart, end: root.body.end },
  };
}

const IDENTITY: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary']);

function isLayer({ type, subtype }: MediaType): boolean {
  return /^(?:multipart\/(?:signed|encrypted)|application\/(?:x-)?pkcs7-mime)$/.test(`${type}/${subtype}`);
}

function protectedFields(fields: readonly HeaderField[]): readonly HeaderField[] {
  return fields.filter(({ name }) => !isStructural(name) && name.toLowerCase() !== 'hp-outer');
}

/** RFC 9788 §2.2: field name, colon, value. */
function recordOf(value: string): { name: string; value: string } | null {
  const record = /^([!-9;-~]+)[ \t]*:[ \t]*(.*)$/s.exec(value);
  return record?.[1] === undefined ? null : { name: record[1].toLowerCase(), value: record[2] ?? '' };
}

function headerOf(octets: Buffer, fields: readonly HeaderField[]): Buffer {
  const kept = fields
    .filter(({ name }) => isStructural(name))
    .map(({ range }) => octets.subarray(range.start, range.end));
  return Buffer.concat([...kept, Buffer.from('\r\n')]);
}

/** What is known of one field inside, and of what stands outside under its name. */
export type FieldComparison = {
  name: AuthoredField;
  /** Stands inside. One that does not was added outside. */
  inside: boolean;
  /** Its author meant it to be read inside only, and outside it cannot be read. */
  hidden: boolean;
  /** Outside is something else than the author left there; or inside it stands more often than it may. */
  differs: boolean;
};

/**
 * Every authored field that stands inside, or outside against the author's word, in a fixed order.
 *
 * @param encrypted something around the payload was encrypted, so that a field can be hidden
 */
export function compareWithOuter(
  header: ReadProtectedHeader,
  outer: readonly HeaderField[],
  encrypted: boolean,
): FieldComparison[] {
  const allInside = valuesByName(header.fields);
  const allOutside = valuesByName(outer);
  const recorded = header.recorded === null ? null : valuesByName(header.recorded);
  return AUTHORED_FIELDS.flatMap((name) => {
    const inside = allInside.get(name) ?? [];
    const outside = allOutside.get(name) ?? [];
    const isUnsaid = header.scheme === 'wrapped' && encrypted && HIDDEN_UNSAID.has(name);
    const expected = recorded === null ? (isUnsaid ? outside : inside) : (recorded.get(name) ?? []);
    const added = expected.length === 0 && isAddedOnTheWay(name);
    if (inside.length === 0 && (outside.length === 0 || added || name === 'from')) return [];
    const ambiguous = inside.length > 1 && isSingle(name);
    const differs = ambiguous || !(added || sameList(name, expected, outside));
    if (inside.length === 0 && !differs) return [];
    const hidden = encrypted && inside.length > 0 && hasNone(name, inside, [...expected, ...outside]);
    return [{ name, inside: inside.length > 0, hidden, differs }];
  });
}

/** Fields that senders of the wrapped form hide without saying so. */
const HIDDEN_UNSAID: ReadonlySet<string> = new Set(['subject', 'keywords', 'comments', 'thread-topic']);

function valuesByName(fields: readonly { name: string; value: string }[]): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const { name, value } of fields) {
    const key = name.toLowerCase();
    const same = values.get(key);
    if (same === undefined) values.set(key, [value]);
    else same.push(value);
  }
  return values;
}

function sameList(name: AuthoredField, one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false;
  return one.every((value, i) => {
    const there = other[i] ?? '';
    return value === there || valueKey(name, value) === valueKey(name, there);
  });
}

/** Whether none of the values is among the others. A stranger chooses how many there are. */
function hasNone(name: AuthoredField, values: readonly string[], others: readonly string[]): boolean {
  const written = new Set(others);
  if (values.some((value) => written.has(value))) return false;
  const said = new Set(others.map((value) => valueKey(name, value)));
  return !values.some((value) => said.has(valueKey(name, value)));
}

/**
 * The authored fields as they are to be shown, in their order, each with a line end. Of a field that may stand once, the first.
 *
 * @param withFrom false: From is not among them, because the one outside is shown
 */
export function shownFields(header: ReadProtectedHeader, withFrom: boolean): Buffer {
  const seen = new Set<string>();
  const lines = header.fields.flatMap((field) => {
    const name = field.name.toLowerCase();
    if (!isAuthored(name) || (name === 'from' && !withFrom)) return [];
    if (isSingle(name) && seen.has(name)) return [];
    seen.add(name);
    const octets = header.octets.subarray(field.range.start, field.range.end);
    return octets.at(-1) === 0x0a ? [octets] : [octets, Buffer.from('\r\n')];
  });
  return Buffer.concat(lines);
}
