import { isAscii, isUtf8 } from 'node:buffer';
import { SealgateError } from '../errors.ts';
import { canonicalLines } from './canonical.ts';
import type { HeaderField } from './entity.ts';
import { field, fieldsNamed, malformedLines } from './header.ts';
import { type HeaderProtection, protectHeader } from './header-protection.ts';
import { withLegacyDisplay } from './header-protection-legacy.ts';
import { withParameters } from './media-type-writing.ts';
import type { Message } from './message.ts';

/**
 * Taking a message apart into what stays outside (who, to whom, when, about what) and the MIME entity that is signed or
 * encrypted (RFC 8551 §3.1: the Content-* fields go with the entity), and putting a message together again.
 */

export type SplitMessage = {
  /** Fields that stay outside, in their order, CRLF, without the empty line. */
  outer: Buffer;
  /**
   * Copies of them that are protected with the entity: lines to be put before its first octet, after it was made safe.
   * Empty where the header is not protected.
   */
  inner: Buffer;
  /** Content-* fields, empty line, body: an entity with a declared Content-Type. */
  entity: Buffer;
};

/**
 * @param protection how the header is protected together with the entity (RFC 9788); null: not at all, as for an entity
 *   that is signed or encrypted already, whose payload is out of reach
 * @throws SealgateError `mail.malformed-header` where a line is no field, where two Content-Type or
 *   Content-Transfer-Encoding fields leave it open what would be signed, and where fields are to be hidden behind a
 *   Content-Type that cannot be read; those of `protectHeader`
 */
export function splitMessage(
  { octets, root }: Message,
  protection: HeaderProtection | null = null,
): SplitMessage {
  const { outer, inner, header } = splitHeader(
    octets,
    root.fields,
    () => octets.subarray(root.body.start, root.body.end),
    protection,
  );
  const entity = Buffer.concat([header, octets.subarray(root.body.start, root.body.end)]);
  const subject = subjectToRepeat(root.fields, protection);
  return { outer, inner, entity: subject === null ? entity : withLegacyDisplay(entity, subject) };
}

/**
 * The same for a body that is elsewhere. `header` is that of the entity, with the empty line. Throws what `splitMessage` does.
 * A hidden Subject is not repeated in the body (`withLegacyDisplay`), which would have to be here for it.
 *
 * @param octets what the ranges of `fields` are in
 * @param body asked for only where no Content-Type is declared: enough of it to tell its charset
 */
export function splitHeader(
  octets: Buffer,
  fields: readonly HeaderField[],
  body: () => Buffer,
  protection: HeaderProtection | null = null,
): { outer: Buffer; inner: Buffer; header: Buffer } {
  if (malformedLines(fields).length > 0)
    throw malformedHeader('a line is neither a field nor a continuation');
  for (const name of ['content-type', 'content-transfer-encoding']) {
    if (fieldsNamed(fields, name).length > 1) throw malformedHeader(`${name} stands there more than once`);
  }
  const slice = (field: HeaderField): Buffer => octets.subarray(field.range.start, field.range.end);
  const stays = fields.filter(
    (field) => !isContentField(field) && field.name.toLowerCase() !== 'mime-version',
  );
  const moves = fields.filter(isContentField);
  const declared = fieldsNamed(moves, 'content-type')[0];
  const type = declared === undefined ? Buffer.from(defaultContentType(body())) : slice(declared);
  const others = moves.filter((field) => field !== declared).map(slice);
  // RFC 9788 §2.1.1
  const marked = protection === null ? null : withMark(type, protection.kind);
  if (protection === null || marked === null) {
    if (isHidden(protection)) {
      throw malformedHeader('its Content-Type cannot be read');
    }
    const header = declared === undefined ? [type, ...others] : moves.map(slice);
    return { outer: headerLines(stays.map(slice)), inner: EMPTY, header: withEmptyLine(header) };
  }
  const { outer, inner } = protectHeader(octets, stays, protection);
  const header =
    declared === undefined
      ? [marked, ...others]
      : moves.map((field) => (field === declared ? marked : slice(field)));
  return { outer: headerLines([outer]), inner, header: withEmptyLine(header) };
}

function isHidden(protection: HeaderProtection | null): boolean {
  return protection?.kind === 'cipher' && protection.confidentiality !== 'none';
}

/** The Subject that is hidden and to be repeated for readers whose programs show only the one outside; null: none. */
export function subjectToRepeat(
  fields: readonly HeaderField[],
  protection: HeaderProtection | null,
): string | null {
  const subject = field(fields, 'subject');
  return isHidden(protection) && subject.kind === 'one' ? subject.field.value : null;
}

const EMPTY = Buffer.alloc(0);

function withEmptyLine(fields: readonly Buffer[]): Buffer {
  return Buffer.concat([headerLines(fields), Buffer.from('\r\n')]);
}

/**
 * `contentHeader`: Content-* fields of the new root entity, each with CRLF. MIME-Version is written once, before them.
 * The body comes in pieces, so that the octets of a mail are copied once.
 */
export function joinMessage(
  outer: Uint8Array,
  contentHeader: string,
  ...body: readonly Uint8Array[]
): Buffer {
  return Buffer.concat([outer, Buffer.from(`MIME-Version: 1.0\r\n${contentHeader}\r\n`, 'latin1'), ...body]);
}

function isContentField(field: HeaderField): boolean {
  return /^content-/i.test(field.name);
}

function headerLines(fields: readonly Buffer[]): Buffer {
  const lines = canonicalLines(Buffer.concat(fields));
  return lines.length === 0 || lines.at(-1) === 0x0a ? lines : Buffer.concat([lines, Buffer.from('\r\n')]);
}

/** Content-Type fields that many mails have. Forgotten, all of them, when there are too many. */
const marks = new Map<string, Buffer | null>();
const MARKS_KEPT = 100;
const KEPT_OCTETS = 100;

/** Content-Type with the parameter `hp`; null: it cannot be read. Not to be written to. */
function withMark(type: Buffer, kind: HeaderProtection['kind']): Buffer | null {
  const mark = () => withParameters(type, new Map([['hp', kind]]));
  if (type.length > KEPT_OCTETS) return mark();
  const key = `${kind} ${type.toString('latin1')}`;
  let marked = marks.get(key);
  if (marked === undefined) {
    marked = mark();
    if (marks.size >= MARKS_KEPT) marks.clear();
    marks.set(key, marked);
  }
  return marked;
}

/** A message without MIME fields is US-ASCII (RFC 2045 §5.2); where it is not, its charset is told as far as it is known. */
function defaultContentType(body: Buffer): string {
  const charset = isAscii(body) && !body.includes(0) ? 'us-ascii' : isUtf8(body) ? 'utf-8' : 'unknown-8bit';
  return `Content-Type: text/plain; charset=${charset}\r\n`;
}

function malformedHeader(reason: string): SealgateError {
  return new SealgateError({
    code: 'mail.malformed-header',
    publicText: `The header of this message is not written as RFC 5322 and RFC 2045 ask for: ${reason}.`,
    duration: 'permanent',
  });
}
