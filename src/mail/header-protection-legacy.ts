import { limits } from '../limits.ts';
import type { OctetSource } from '../octets/source.ts';
import { withEditedParts } from './edited-parts.ts';
import { decodeEncodedWords } from './encoded-word.ts';
import type { Entity, HeaderField } from './entity.ts';
import { readEntityFrom } from './entity-source.ts';
import { readEntity } from './entity-tree.ts';
import { field } from './header.ts';
import { LEGACY_DISPLAY_CLASS } from './header-protection-display.ts';
import { readParameterised } from './media-type.ts';
import { withParameters } from './media-type-writing.ts';
import { decodeBody, encodeBase64, encodeQuotedPrintable } from './transfer-encoding.ts';

/**
 * Repeats a hidden Subject above the text, for readers whose program decrypts and does not know header protection (Legacy
 * Display Elements, RFC 9788 §5.2.2 and §5.2.3). Programs that know it leave the repetition out.
 *
 * Only the main body parts have one: attachments arrive as they were sent, and what somebody has signed is not touched.
 */

/**
 * The entity with the element in each main body part; the same octets where there is no such part.
 *
 * @param octets header, empty line, body
 * @param subject unfolded value of the field, latin1
 */
export function withLegacyDisplay(octets: Buffer, subject: string): Buffer {
  const text = shownText(subject);
  if (text === '') return octets;
  const pieces: Buffer[] = [];
  let at = 0;
  for (const part of mainBodyParts(readEntity(octets))) {
    const edited = isLookedAt(part) ? editedPart(octets, part, text) : null;
    if (edited === null) continue;
    pieces.push(octets.subarray(at, part.range.start), edited);
    at = part.range.end;
  }
  return pieces.length === 0 ? octets : Buffer.concat([...pieces, octets.subarray(at)]);
}

/** The same for an entity of any size. */
export async function withLegacyDisplayFrom(entity: OctetSource, subject: string): Promise<OctetSource> {
  const text = shownText(subject);
  if (text === '') return entity;
  const parts = mainBodyParts(await readEntityFrom(entity));
  return withEditedParts(entity, parts, 'range', (octets, part) => editedPart(octets, part, text));
}

/** A text that is larger has none: it would have to be in memory for it. */
function isLookedAt({ range }: Entity): boolean {
  return range.end - range.start <= limits.mail.legacyDisplayOctets;
}

function shownText(subject: string): string {
  const octets = Buffer.from(subject, 'latin1');
  const wide = octets.toString('utf8');
  const text = decodeEncodedWords(Buffer.from(wide).equals(octets) ? wide : subject);
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
}

/** RFC 9787 §7.1: the first part, and all of those among which a reader chooses. */
function mainBodyParts(entity: Entity): Entity[] {
  const { type, subtype } = entity.mediaType;
  if (type !== 'multipart') return [entity];
  if (subtype === 'signed' || subtype === 'encrypted') return [];
  const parts = subtype === 'alternative' ? entity.parts : entity.parts.slice(0, 1);
  return parts.flatMap(mainBodyParts);
}

/** null: a part that takes no element. */
function editedPart(octets: Buffer, part: Entity, text: string): Buffer | null {
  const { type, subtype, parameters } = part.mediaType;
  const charset = parameters.get('charset')?.toLowerCase() ?? 'us-ascii';
  if (type !== 'text' || isAttachment(part) || /^utf-?(?:7|16|32)|^ucs/.test(charset)) return null;
  const element = subtype === 'plain' ? linesFor(text, charset) : subtype === 'html' ? divFor(text) : null;
  if (element === null) return null;
  const body = editedBody(octets, part, (content) => inserted(content, element.octets, subtype === 'html'));
  const header = editedHeader(octets, part, element.charset);
  return body === null || header === null ? null : Buffer.concat([header, Buffer.from('\r\n'), body]);
}

function isAttachment({ fields }: Entity): boolean {
  const disposition = field(fields, 'content-disposition');
  if (disposition.kind === 'none') return false;
  return disposition.kind === 'several' || readParameterised(disposition.field.value)?.word !== 'inline';
}

/** `charset`: what the part has to say from now on; null: what it says. */
type Element = { octets: Buffer; charset: string | null };

/** null: the part's charset has no letters for it. */
function linesFor(text: string, charset: string): Element | null {
  const lines = `Subject: ${text}\r\n\r\n`;
  if (/^[ -~\r\n]*$/.test(lines)) return { octets: Buffer.from(lines, 'latin1'), charset: null };
  if (charset === 'utf-8' || charset === 'utf8') return { octets: Buffer.from(lines), charset: null };
  // Whatever is US-ASCII is UTF-8 too.
  if (charset === 'us-ascii' || charset === 'ascii') return { octets: Buffer.from(lines), charset: 'utf-8' };
  const octets = inOneOctetEach(lines, charset);
  return octets === null ? null : { octets, charset: null };
}

/** In a charset of 256 characters; null: it is another one, or has not all of them. */
function inOneOctetEach(text: string, charset: string): Buffer | null {
  try {
    const decoder = new TextDecoder(charset);
    const octetOf = new Map<string, number>();
    for (let octet = 0; octet < 256; octet++) octetOf.set(decoder.decode(Uint8Array.of(octet)), octet);
    const octets = [...text].map((char) => octetOf.get(char) ?? -1);
    if (octets.includes(-1)) return null;
    const encoded = Buffer.from(octets);
    return new TextDecoder(charset).decode(encoded) === text ? encoded : null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function divFor(text: string): Element {
  const escaped = text.replace(/[^ !#-%'-;=?-~]/gu, (char) => `&#${char.codePointAt(0) ?? 0xfffd};`);
  const div = `<div class="${LEGACY_DISPLAY_CLASS}"><pre>Subject: ${escaped}</pre></div>`;
  return { octets: Buffer.from(div, 'latin1'), charset: null };
}

function inserted(content: Buffer, element: Buffer, html: boolean): Buffer {
  const body = html ? /<body(?=[\s>])[^<>]*>/i.exec(content.toString('latin1')) : null;
  const at = body === null ? 0 : body.index + body[0].length;
  return Buffer.concat([content.subarray(0, at), element, content.subarray(at)]);
}

function editedBody(octets: Buffer, part: Entity, edit: (content: Buffer) => Buffer): Buffer | null {
  switch (part.transferEncoding) {
    case '7bit':
    case '8bit':
    case 'binary':
      return edit(octets.subarray(part.body.start, part.body.end));
    case 'quoted-printable':
      return encodeQuotedPrintable(edit(decodeBody(octets, part)), 'text');
    case 'base64':
      return encodeBase64(edit(decodeBody(octets, part)));
    default:
      return null;
  }
}

/** The part's fields with the parameter (RFC 9788 §2.1). null: its Content-Type is in no grammar. */
function editedHeader(octets: Buffer, part: Entity, charset: string | null): Buffer | null {
  const parameters = new Map([['hp-legacy-display', '1']]);
  if (charset !== null) parameters.set('charset', charset);
  const slice = ({ range }: HeaderField): Buffer => ended(octets.subarray(range.start, range.end));
  const declared = field(part.fields, 'content-type');
  if (declared.kind === 'several') return null;
  if (declared.kind === 'none') {
    const type = `Content-Type: text/plain; charset=${charset ?? 'us-ascii'}; hp-legacy-display="1"\r\n`;
    return Buffer.concat([Buffer.from(type, 'latin1'), ...part.fields.map(slice)]);
  }
  const marked = withParameters(slice(declared.field), parameters);
  if (marked === null) return null;
  return Buffer.concat(part.fields.map((each) => (each === declared.field ? marked : slice(each))));
}

function ended(line: Buffer): Buffer {
  return line.at(-1) === 0x0a ? line : Buffer.concat([line, Buffer.from('\r\n')]);
}
