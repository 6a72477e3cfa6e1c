import { readHeader } from '../../mail/header.ts';
import type { AtRestMark } from '../../mail-view/at-rest-marker.ts';
import { envelope } from '../../mail-view/envelope.ts';
import { selectFields } from '../../mail-view/shape.ts';
import type { FetchItem } from '../fetch-item.ts';
import type { ResponseItem } from '../fetch-response.ts';

/**
 * What a FETCH of a message gets that lies encrypted at rest, as far as its marker says it: what its client stored, not what the
 * mail server has.
 */

/** Whether the item needs more than the marker. */
export function needsMore({ item }: ResponseItem): boolean {
  return item.kind !== 'neutral' && item.kind !== 'preview' && headerSection(item) === null;
}

/** The value in the place of the mail server's; null: that one stands. */
export function neutralFromMark({ item, value }: ResponseItem, mark: AtRestMark): Buffer | null {
  if (item.kind !== 'neutral' || value.kind !== 'text') return null;
  if (item.name === 'RFC822.SIZE') return Buffer.from(String(mark.length));
  if (item.name !== 'ENVELOPE' || value.octets[0] !== 0x28) return null;
  return Buffer.from(envelope(readHeader(mark.header, 0, mark.header.length).fields), 'latin1');
}

/** Octets of a header item, of which a piece may be asked for; null: another item. */
export function headerFromMark(item: FetchItem, mark: AtRestMark): Buffer | null {
  const section = headerSection(item);
  if (section === null) return null;
  return section.kind === 'header' ? mark.header : selectFields(mark.header, section.names, section.not);
}

function headerSection(item: FetchItem) {
  if (item.kind !== 'section') return null;
  const { section } = item;
  return section.kind === 'header' || section.kind === 'fields' ? section : null;
}
