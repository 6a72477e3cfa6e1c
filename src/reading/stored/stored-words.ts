import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { limits } from '../../limits.ts';
import type { SearchText } from '../search-text.ts';

/**
 * The words of a message as they lie in the store: compressed, then sealed.
 *
 *   one line of JSON: [[name, text] …], the fields
 *   the body
 */

/** Octets that words take at most once they are unpacked: a character has three at most, and an escape in JSON six. */
const MOST_OCTETS = 6 * limits.searchText.characters + 8 * limits.mail.headerOctets;

/** Words are unpacked by the thousand; of short texts Zstandard takes twice the time for the same size. */
const FAST = 1;

export function packWords({ fields, body }: SearchText): Buffer {
  const first = JSON.stringify(fields.map(({ name, text }) => [name, text]));
  return deflateRawSync(Buffer.from(`${first}\n${body}`, 'utf8'), { level: FAST });
}

/** @throws Error for what `packWords` has not made */
export function unpackWords(packed: Uint8Array): SearchText {
  const octets = inflateRawSync(packed, { maxOutputLength: MOST_OCTETS });
  const end = octets.indexOf(0x0a);
  const fields = (JSON.parse(octets.toString('utf8', 0, end)) as unknown[]).map((each) => {
    if (!Array.isArray(each)) throw new Error('words without fields');
    const [name, text] = each as unknown[];
    if (typeof name !== 'string' || typeof text !== 'string') throw new Error('a field without a text');
    return { name, text };
  });
  const body = octets.toString('utf8', end + 1);
  const characters = fields.reduce((sum, { name, text }) => sum + name.length + text.length, body.length);
  return { fields, body, characters };
}
