import { decodeCharset } from './media-type.ts';

/** Encoded words of header fields (RFC 2047 §2, charset with language by RFC 2231 §5). */

const ENCODED_WORD = /=\?([^?\s]+)\?([bBqQ])\?([^?\s]*)\?=/g;

/** Decodes every encoded word in `text`, wherever it stands: what a reader may be shown, not what the grammar allows. */
export function decodeEncodedWords(text: string): string {
  return text
    .replace(/(=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=)[ \t\r\n]+(?==\?[^?\s]+\?[bBqQ]\?)/g, '$1')
    .replace(ENCODED_WORD, (_, charset: string, encoding: string, data: string) => {
      const octets = encoding.toLowerCase() === 'b' ? Buffer.from(data, 'base64') : decodeQ(data);
      return decodeCharset(octets, charset.replace(/\*.*$/, ''));
    });
}

function decodeQ(data: string): Buffer {
  const text = data
    .replaceAll('_', ' ')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(text, 'latin1');
}

/** Octets of UTF-8 in one encoded word of at most 75 characters. */
const OCTETS_PER_WORD = 45;

/** Encodes `text` as UTF-8 encoded words separated by folds; characters are never split between words. */
export function encodeWords(text: string): string {
  const words: string[] = [];
  let piece = '';
  for (const char of text) {
    if (Buffer.byteLength(piece + char) > OCTETS_PER_WORD) {
      words.push(piece);
      piece = '';
    }
    piece += char;
  }
  words.push(piece);
  return words.map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join('\r\n ');
}
