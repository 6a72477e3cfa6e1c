import type { Entity } from '../mail/entity.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import { collect } from '../octets/collect.ts';
import { leafText } from './search-text.ts';

/** RFC 8970 §3.1: no more than 256 characters. */
const CHARACTERS = 200;
/** Octets of a text, encoded, in which they are looked for: markup may stand before the first word. */
const TEXT_OCTETS = 64 * 1024;

/** The first words of a message; empty: it has none. */
export async function previewOf(view: MessageView): Promise<string> {
  const leaf = firstText(await view.root());
  if (leaf === null) return '';
  const { start, end } = leaf.body;
  const octets = await collect(view.read({ start, end: Math.min(end, start + TEXT_OCTETS) }));
  const text = leafText(leaf, octets)
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  return [...text].slice(0, CHARACTERS).join('');
}

function firstText(entity: Entity): Entity | null {
  if (entity.mediaType.type === 'text') return isAttachment(entity) ? null : entity;
  for (const part of entity.parts) {
    const found = firstText(part);
    if (found !== null) return found;
  }
  return null;
}

function isAttachment({ fields }: Entity): boolean {
  return fields.some(
    ({ name, value }) => name.toLowerCase() === 'content-disposition' && /^\s*attachment/i.test(value),
  );
}
