import { encodeWords } from './encoded-word.ts';
import { fieldText } from './field-text.ts';
import { decodeCharset } from './media-type.ts';
import { subjectTags } from './subject-tags.ts';

/**
 * A Subject without some of its tags. All other octets stay as they are, encoded words and folds among them; an encoded word that
 * holds a tag and more is written again in its own charset and encoding.
 *
 * Holds: what a reader sees is what was there without the tags, or the Subject is written anew so that it is.
 *
 * @param raw what stands behind the colon, latin1, folds and line end included
 * @param tags lower case, without brackets
 */
export function withoutTags(raw: string, tags: readonly string[]): string {
  const end = /\r?\n$/.exec(raw)?.[0] ?? '';
  const body = raw.slice(0, raw.length - end.length);
  const whole = fieldText(unfolded(body));
  const removed = subjectTags(whole).filter(({ tag }) => tags.includes(tag));
  if (removed.length === 0) return raw;
  const wanted = without(whole, removed).trim();
  const cut = trimmed(cutRaw(body, removed));
  const text = shows(cut, wanted) ? cut : wanted === '' ? '' : encodeWords(wanted);
  return `${text === '' ? '' : ' '}${text}${end}`;
}

type Range = { start: number; end: number };

/** One piece of the raw text and what it shows. Blanks between two encoded words show nothing (RFC 2047 §6.2). */
type Piece = { raw: string; shown: string; word: EncodedWord | null };
type EncodedWord = { charset: string; encoding: string; octets: Buffer };

const WORD = /=\?([^?\s]+)\?([bBqQ])\?([^?\s]*)\?=/;

function cutRaw(body: string, removed: readonly Range[]): string {
  let at = 0;
  let next = 0;
  let out = '';
  for (const piece of pieces(body)) {
    const start = at;
    at += piece.shown.length;
    const gone: Range[] = [];
    // Both are in the order of the text.
    for (let range = removed[next]; range !== undefined && range.start < at; range = removed[next]) {
      if (range.end > start) gone.push({ start: range.start - start, end: range.end - start });
      if (range.end > at) break;
      next++;
    }
    // What shows nothing (a fold) has nothing to lose, also within a tag.
    out += gone.length === 0 || piece.shown === '' ? piece.raw : remainder(piece, gone);
  }
  return out;
}

function remainder({ raw, shown, word }: Piece, gone: readonly Range[]): string {
  if (word === null) return without(raw, gone);
  if (gone.some(({ start, end }) => start <= 0 && end >= shown.length)) return '';
  // Tags, and what stands between them, are ASCII: a character is an octet. What is not shows when the result is read again.
  const octets = Buffer.from(without(word.octets.toString('latin1'), gone), 'latin1');
  return `=?${word.charset}?${word.encoding}?${encoded(octets, word.encoding)}?=`;
}

/** Characters and blanks outside of encoded words are pieces of their own, so that one fold is one blank. */
function pieces(body: string): Piece[] {
  const found: Piece[] = [];
  for (let rest = body; rest !== ''; ) {
    const match = WORD.exec(rest);
    const before = rest.slice(0, match?.index ?? rest.length);
    const between = match !== null && found.at(-1)?.word != null && /^[ \t\r\n]+$/.test(before);
    if (between) found.push({ raw: before, shown: '', word: null });
    else {
      for (const raw of before.split(/(\r?\n)/)) {
        found.push({ raw, shown: /[\r\n]/.test(raw) ? '' : raw, word: null });
      }
    }
    if (match === null) break;
    const [raw, charset = '', encoding = '', data = ''] = match;
    const octets = encoding.toLowerCase() === 'b' ? Buffer.from(data, 'base64') : fromQ(data);
    found.push({
      raw,
      shown: decodeCharset(octets, charset.replace(/\*.*$/, '')),
      word: { charset, encoding, octets },
    });
    rest = rest.slice(before.length + raw.length);
  }
  return found;
}

function fromQ(data: string): Buffer {
  const text = data
    .replaceAll('_', ' ')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(text, 'latin1');
}

function encoded(octets: Buffer, encoding: string): string {
  if (encoding.toLowerCase() === 'b') return octets.toString('base64');
  return octets
    .toString('latin1')
    .replace(
      /[^A-Za-z0-9!*+\-/ ]/g,
      (one) => `=${one.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .replaceAll(' ', '_');
}

function without(text: string, ranges: readonly Range[]): string {
  let out = '';
  let at = 0;
  for (const { start, end } of ranges) {
    out += text.slice(at, Math.max(at, start));
    at = Math.max(at, end);
  }
  return out + text.slice(at);
}

/** Without blanks and folds at both ends, folds whose blank has gone, and lines of blanks alone. */
function trimmed(text: string): string {
  return text
    .replace(/\r?\n(?![ \t])/g, '')
    .replace(/^[ \t\r\n]+/, '')
    .replace(/(?:\r?\n[ \t]*)+(?=\r?\n)/g, '')
    .trimEnd();
}

function shows(raw: string, wanted: string): boolean {
  return !/\r(?!\n)|\n(?![ \t])/.test(raw) && fieldText(unfolded(raw)).trim() === wanted;
}

function unfolded(text: string): string {
  return text.replace(/\r?\n(?=[ \t])/g, '');
}
