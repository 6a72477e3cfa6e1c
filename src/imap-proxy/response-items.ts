import type { FetchItem } from './fetch-item.ts';
import type { ResponseItem } from './fetch-response.ts';

/** What an item of a FETCH response tells of the message it is about. */

/** Whether octets of the message's own header begin the literal. */
export function isWholeFromStart({ item }: ResponseItem): boolean {
  return isWhole(item) && originOf({ item }) === 0;
}

/** Whether it begins the whole header. */
export function isHeaderFromStart({ item }: ResponseItem): boolean {
  return item.kind === 'section' && item.section.kind === 'header' && originOf({ item }) === 0;
}

/** Whether the literal's octets are counted from the beginning of the message. */
export function isPieceFromHeader({ item }: ResponseItem): boolean {
  if (originOf({ item }) === 0) return false;
  return isWhole(item) || (item.kind === 'section' && item.section.kind === 'header');
}

function isWhole(item: FetchItem): boolean {
  if (item.kind === 'binary') return item.path.length === 0;
  return item.kind === 'section' && item.section.kind === 'whole';
}

/** Whether only some of the octets were asked for. */
export function isPiece({ item }: ResponseItem): boolean {
  return (item.kind === 'section' || item.kind === 'binary') && item.partial !== null;
}

export function originOf({ item }: Pick<ResponseItem, 'item'>): number {
  return item.kind === 'section' || item.kind === 'binary' ? (item.partial?.origin ?? 0) : 0;
}

export function isHeader({ item }: ResponseItem): boolean {
  return item.kind === 'section' && (item.section.kind === 'header' || item.section.kind === 'fields');
}

/**
 * Whether an upstream's structure may be that of a message in the shell. It may: a server can read a Content-Type
 * differently; the header decides. Multiparts never are.
 */
export function isSuspectStructure({ item, value }: ResponseItem): boolean {
  if (item.kind !== 'structure' || value.kind !== 'text') return false;
  const head = value.octets.toString('latin1', 0, 64);
  if (/^\("application" "(?:x-)?pkcs7-mime"/i.test(head)) return true;
  if (!/^\("application" "octet-stream"/i.test(head)) return false;
  return /p7m|"name\*/i.test(value.octets.toString('latin1'));
}

export function isNilOrEmpty({ value }: ResponseItem): boolean {
  return value.kind === 'text' && /^(?:NIL|"")$/i.test(value.octets.toString('latin1', 0, 4));
}

/** A message that is expunged has no octets any more. */
export function isGone({ item, value }: ResponseItem): boolean {
  return item.kind === 'section' && item.section.kind === 'whole' && value.kind === 'text';
}
