import type { Entity, HeaderField, Range } from '../mail/entity.ts';
import { fieldsNamed } from '../mail/header.ts';
import { readParameterised } from '../mail/media-type.ts';
import { scan } from '../octets/scan.ts';
import { TimeSlice } from '../octets/time-slice.ts';
import { envelope } from './envelope.ts';
import { imapNstring, imapString } from './imap-string.ts';
import { isMessage, type MessageView } from './message-view.ts';

/**
 * BODYSTRUCTURE, and BODY without extension data (RFC 9051 §7.5.2), of a view.
 *
 * Holds: sizes are those of the octets that BODY[n] gives; a multipart always has a child, a part always a type, text
 * and message parts their lines, extension data all four fields, because clients fail over each of these.
 */
export async function bodyStructure(
  view: MessageView,
  extended: boolean,
  slice: TimeSlice = new TimeSlice(),
): Promise<Buffer> {
  return Buffer.from(await structureOf({ view, extended, slice }, await view.root(), 0), 'latin1');
}

/** `slice`: a sender chooses how many parts there are. */
type Walk = { view: MessageView; extended: boolean; slice: TimeSlice };

/** `messages`: how many messages are around the entity, the view itself not counted. */
async function structureOf(walk: Walk, entity: Entity, messages: number): Promise<string> {
  await walk.slice.over();
  return entity.mediaType.type === 'multipart'
    ? multipart(walk, entity, messages)
    : singlePart(walk, entity, messages);
}

const EMPTY_TEXT = '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0)';
const EMPTY_TEXT_EXTENDED = '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)';

// body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
async function multipart(walk: Walk, entity: Entity, messages: number): Promise<string> {
  const { extended } = walk;
  let children = '';
  for (const part of entity.parts) children += await structureOf(walk, part, messages);
  const bodies = children === '' ? (extended ? EMPTY_TEXT_EXTENDED : EMPTY_TEXT) : children;
  const subtype = imapString(entity.mediaType.subtype);
  if (!extended) return `(${bodies} ${subtype})`;
  return `(${bodies} ${subtype} ${parameters(entity.mediaType.parameters)} ${dispositionToLocation(entity)})`;
}

// body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]
async function singlePart(walk: Walk, entity: Entity, messages: number): Promise<string> {
  const { view, extended } = walk;
  const message = isMessage(entity, messages);
  const { type, subtype } = shownType(entity, message);
  const fields = [
    imapString(type),
    imapString(subtype),
    parameters(withCharset(entity.mediaType)),
    imapNstring(fieldValue(entity.fields, 'content-id')),
    imapNstring(fieldValue(entity.fields, 'content-description')),
    imapString(entity.transferEncoding === 'unknown' ? '7bit' : entity.transferEncoding),
    String(entity.body.end - entity.body.start),
  ];
  if (message) {
    const inner = await view.messageIn(entity);
    fields.push(
      envelope(inner.fields),
      await structureOf(walk, inner, messages + 1),
      String(await lines(view, entity.body)),
    );
  } else if (type === 'text') fields.push(String(await lines(view, entity.body)));
  if (extended) {
    fields.push(imapNstring(fieldValue(entity.fields, 'content-md5')), dispositionToLocation(entity));
  }
  return `(${fields.join(' ')})`;
}

/** body-type-msg has to tell of the message in it: one that is not looked into is shown as octets. */
function shownType({ mediaType }: Entity, message: boolean): { type: string; subtype: string } {
  const { type, subtype } = mediaType;
  const opaque = !message && type === 'message' && subtype === 'rfc822';
  return opaque ? { type: 'application', subtype: 'octet-stream' } : { type, subtype };
}

/** RFC 2046 §4.1.2: text without a charset is us-ascii; servers say so. */
function withCharset({ type, parameters: given }: Entity['mediaType']): ReadonlyMap<string, string> {
  return type !== 'text' || given.has('charset') ? given : new Map([['charset', 'us-ascii'], ...given]);
}

function dispositionToLocation(entity: Entity): string {
  return [
    disposition(entity),
    language(fieldValue(entity.fields, 'content-language')),
    imapNstring(fieldValue(entity.fields, 'content-location')),
  ].join(' ');
}

function disposition(entity: Entity): string {
  const value = fieldValue(entity.fields, 'content-disposition');
  const read = value === null ? null : readParameterised(value);
  return read === null ? 'NIL' : `(${imapString(octetText(read.word))} ${parameters(read.parameters)})`;
}

function language(value: string | null): string {
  const tags = value?.split(',').flatMap((tag) => (tag.trim() === '' ? [] : [imapString(tag.trim())])) ?? [];
  return tags.length === 0 ? 'NIL' : `(${tags.join(' ')})`;
}

function parameters(map: ReadonlyMap<string, string>): string {
  const pairs = [...map].map(
    ([name, value]) => `${imapString(octetText(name))} ${imapString(octetText(value))}`,
  );
  return pairs.length === 0 ? 'NIL' : `(${pairs.join(' ')})`;
}

/** Parameters in RFC 2231's extended form are decoded: characters beyond latin1 go as UTF-8. */
function octetText(text: string): string {
  return /^[\0-\xff]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

function fieldValue(fields: readonly HeaderField[], name: string): string | null {
  return fieldsNamed(fields, name)[0]?.value ?? null;
}

/** Lines as servers count them: line ends. */
async function lines({ octets }: MessageView, { start, end }: Range): Promise<number> {
  let count = 0;
  await scan(
    octets,
    (chunk) => {
      for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) count++;
      return undefined;
    },
    start,
    end,
  );
  return count;
}
