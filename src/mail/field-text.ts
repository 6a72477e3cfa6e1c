import { decodeEncodedWords } from './encoded-word.ts';

/**
 * The text of an unfolded field value as a reader sees it: encoded words decoded (RFC 2047), octets beyond ASCII as UTF-8 (RFC
 * 6532), or as latin1 where they are not that.
 *
 * @param value latin1, as `HeaderField` has it
 */
export function fieldText(value: string): string {
  const octets = Buffer.from(value, 'latin1');
  const text = octets.toString('utf8');
  return decodeEncodedWords(text.includes('�') && !octets.includes(REPLACEMENT) ? value : text);
}

const REPLACEMENT = Buffer.from('�');
