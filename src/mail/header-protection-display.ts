import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { OctetSource } from '../octets/source.ts';
import { withEditedParts } from './edited-parts.ts';
import type { Entity } from './entity.ts';
import { readEntityFrom } from './entity-source.ts';
import { readEntity } from './entity-tree.ts';
import { decodeBody, encodeBase64, encodeQuotedPrintable } from './transfer-encoding.ts';

/**
 * Legacy Display Elements (RFC 9788 §4.5.3): hidden header fields repeated above the text, for programs that do not know
 * header protection. Whoever shows the protected fields does not show them again.
 *
 * Only for a payload whose root says `hp="cipher"`: anywhere else the parameter would let a stranger hide the beginning of a
 * text from its reader.
 */

/** The entity without its Legacy Display Elements; the same octets where there are none. */
export function withoutLegacyDisplay(octets: Buffer): Buffer {
  if (!octets.includes('hp-legacy-display')) return octets;
  const pieces: Buffer[] = [];
  let at = 0;
  for (const part of leaves(readEntity(octets))) {
    const body = orNull(() => strippedBody(octets, part));
    if (body === null) continue;
    pieces.push(octets.subarray(at, part.body.start), body);
    at = part.body.end;
  }
  return pieces.length === 0 ? octets : Buffer.concat([...pieces, octets.subarray(at)]);
}

/** The same for an entity of any size. */
export async function withoutLegacyDisplayFrom(entity: OctetSource): Promise<OctetSource> {
  const parts = leaves(await readEntityFrom(entity)).filter(mayHaveLegacyDisplay);
  return withEditedParts(entity, parts, 'body', (octets, part) => orNull(() => strippedBody(octets, part)));
}

/** What cannot be decoded is shown as it is. */
function orNull(strip: () => Buffer | null): Buffer | null {
  try {
    return strip();
  } catch (error) {
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

function leaves(entity: Entity): Entity[] {
  return entity.parts.length === 0 ? [entity] : entity.parts.flatMap(leaves);
}

/** Whether the part says that it has one, and is not larger than is looked at. */
function mayHaveLegacyDisplay({ declared, mediaType, range }: Entity): boolean {
  const { type, parameters } = mediaType;
  if (!declared || type !== 'text' || parameters.get('hp-legacy-display') !== '1') return false;
  return range.end - range.start <= limits.mail.legacyDisplayOctets;
}

/** null: the part has none, or it cannot be found. */
function strippedBody(octets: Buffer, part: Entity): Buffer | null {
  const { subtype } = part.mediaType;
  if (!mayHaveLegacyDisplay(part)) return null;
  const strip = subtype === 'plain' ? withoutFirstLines : subtype === 'html' ? withoutFirstElement : null;
  if (strip === null) return null;
  switch (part.transferEncoding) {
    case '7bit':
    case '8bit':
    case 'binary':
      return strip(octets.subarray(part.body.start, part.body.end));
    case 'quoted-printable': {
      const text = strip(decodeBody(octets, part));
      return text === null ? null : encodeQuotedPrintable(text, 'text');
    }
    case 'base64': {
      const text = strip(decodeBody(octets, part));
      return text === null ? null : encodeBase64(text);
    }
    default:
      return null;
  }
}

/** RFC 9788 §4.5.3: everything up to and including the first empty line. */
function withoutFirstLines(text: Buffer): Buffer | null {
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf(0x0a, at);
    if (end === -1) return null;
    if (text.toString('latin1', at, end).trim() === '') return text.subarray(end + 1);
    at = end + 1;
  }
  return null;
}

export const LEGACY_DISPLAY_CLASS = 'header-protection-legacy-display';

const OPENING = new RegExp(`<div\\s[^<>]*class\\s*=\\s*["']?${LEGACY_DISPLAY_CLASS}["']?[^<>]*>`, 'i');

/** RFC 9788 §4.5.3.3: the first `div` of that class. */
function withoutFirstElement(html: Buffer): Buffer | null {
  const text = html.toString('latin1');
  const opening = OPENING.exec(text);
  if (opening === null) return null;
  const tags = /<(\/?)div(?=[\s>/])[^<>]*>/gi;
  tags.lastIndex = opening.index;
  let depth = 0;
  for (let tag = tags.exec(text); tag !== null; tag = tags.exec(text)) {
    depth += tag[1] === '' ? 1 : -1;
    if (depth === 0) {
      return Buffer.concat([html.subarray(0, opening.index), html.subarray(tags.lastIndex)]);
    }
  }
  return null;
}
