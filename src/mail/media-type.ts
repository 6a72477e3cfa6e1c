import type { MediaType } from './entity.ts';

/**
 * Content-Type and Content-Disposition: a word and parameters (RFC 2045 §5.1, RFC 2183 §2, RFC 2231 §3 and §4).
 *
 * Leaves are read with some kindness, because senders leave out quotes. A multipart is not: its boundary decides
 * which octets a reader takes for which part, and readers disagree about comments, stray quotes and a boundary said
 * twice. Such a multipart counts as not parsable, so that no signature is ever judged inside it.
 */

export type Parameterised = {
  /** `text/plain`, `attachment`; lower case. */
  word: string;
  parameters: ReadonlyMap<string, string>;
  /** Everything was in the grammar of RFC 2045 without comments and nothing was said twice. */
  exact: boolean;
};

/** null: not a media type. `value` is a header field's unfolded value (latin1). */
export function readMediaType(value: string): MediaType | null {
  const read = readParameterised(value);
  if (read === null) return null;
  const [type, subtype, more] = read.word.split('/');
  if (!isToken(type) || !isToken(subtype) || more !== undefined) return null;
  if (type === 'multipart' && !read.exact) return null;
  return { type, subtype, parameters: read.parameters };
}

const TOKEN = /^[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+$/;

function isToken(text: string | undefined): text is string {
  return text !== undefined && TOKEN.test(text);
}

type Piece = { index: number; extended: boolean; value: string };

/**
 * Reads `word *(";" attribute "=" value)`. null: the word is missing, a quoted string does not end, or two
 * parameters of one name differ.
 */
export function readParameterised(value: string): Parameterised | null {
  const pieces = splitAtSemicolons(value);
  if (pieces === null) return null;
  const [head, ...rest] = pieces.texts;
  const word = (head ?? '').trim().toLowerCase();
  if (word === '' || /[\s"\0-\x1f]/.test(word)) return null;
  let exact = !pieces.comments && !/[\0-\x08\x0a-\x1f\x7f-\xff]/.test(value);
  const plain = new Map<string, string>();
  const continued = new Map<string, Piece[]>();
  for (const text of rest) {
    if (text.trim() === '') continue;
    const equals = text.indexOf('=');
    const attribute = text.slice(0, equals).trim().toLowerCase();
    if (equals === -1 || !isToken(attribute)) {
      exact = false;
      continue;
    }
    const read = readValue(text.slice(equals + 1).trim());
    if (!read.exact) exact = false;
    // RFC 2231 §3 and §4: name*, name*0, name*0*
    const parts = /^([^*]+)(?:\*(0|[1-9][0-9]{0,2}))?(\*)?$/.exec(attribute);
    const name = parts?.[1];
    if (name === undefined) {
      exact = false;
      continue;
    }
    if (parts?.[2] === undefined && parts?.[3] === undefined) {
      const before = plain.get(name);
      if (before !== undefined && before !== read.value) return null;
      plain.set(name, read.value);
      continue;
    }
    const list = continued.get(name) ?? [];
    list.push({ index: Number(parts[2] ?? 0), extended: parts[3] !== undefined, value: read.value });
    continued.set(name, list);
  }
  const parameters = new Map(plain);
  for (const [name, list] of continued) {
    const joined = joinPieces(list);
    if (joined === null) return null;
    if (plain.has(name) && plain.get(name) !== joined) exact = false;
    parameters.set(name, joined);
  }
  return { word, parameters, exact };
}

/** Splits outside quoted strings and removes comments. null: a quoted string or comment does not end. */
function splitAtSemicolons(value: string): { texts: string[]; comments: boolean } | null {
  if (!/["(]/.test(value)) return { texts: value.split(';'), comments: false };
  const texts: string[] = [];
  let text = '';
  let comments = false;
  let quoted = false;
  for (let i = 0; i < value.length; i++) {
    const char = value[i] ?? '';
    if (quoted) {
      text += char;
      if (char === '\\') text += value[++i] ?? '';
      else if (char === '"') quoted = false;
      continue;
    }
    if (char === '(') {
      const end = commentEnd(value, i);
      if (end === -1) return null;
      comments = true;
      text += ' ';
      i = end;
    } else if (char === ';') {
      texts.push(text);
      text = '';
    } else {
      if (char === '"') quoted = true;
      text += char;
    }
  }
  if (quoted) return null;
  texts.push(text);
  return { texts, comments };
}

/** Offset of the parenthesis that ends the comment at `start` (RFC 5322 §3.2.2, nested); -1: none. */
export function commentEnd(value: string, start: number): number {
  let depth = 0;
  for (let i = start; i < value.length; i++) {
    const char = value[i];
    if (char === '\\') i++;
    else if (char === '(') depth++;
    else if (char === ')' && --depth === 0) return i;
  }
  return -1;
}

function readValue(text: string): { value: string; exact: boolean } {
  const quoted = /^"((?:[^"\\]|\\.)*)"$/s.exec(text);
  if (quoted?.[1] !== undefined) {
    return { value: quoted[1].replace(/\\(.)/gs, '$1'), exact: true };
  }
  // Senders leave the quotes out around = / : ? and the like; a boundary may do so, blanks and quotes may not occur.
  return { value: text, exact: /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(text) };
}

/** null: pieces are missing, doubled or not decodable. */
function joinPieces(list: readonly Piece[]): string | null {
  const sorted = [...list].sort((a, b) => a.index - b.index);
  if (sorted.some((piece, index) => piece.index !== index)) return null;
  const [first] = sorted;
  if (first === undefined) return null;
  if (!first.extended) return sorted.map((piece) => piece.value).join('');
  const charset = /^([^']*)'[^']*'/.exec(first.value);
  if (charset === null) return null;
  const octets = sorted.map((piece, index) => {
    const value = index === 0 ? piece.value.slice(charset[0].length) : piece.value;
    return piece.extended ? percentDecode(value) : Buffer.from(value, 'latin1');
  });
  return decodeCharset(Buffer.concat(octets), charset[1] ?? '');
}

function percentDecode(text: string): Buffer {
  return Buffer.from(
    text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

/** Decodes with the named charset; latin1 where it is not known. */
export function decodeCharset(octets: Uint8Array, charset: string): string {
  try {
    return new TextDecoder(charset === '' ? 'us-ascii' : charset).decode(octets);
  } catch (error) {
    if (error instanceof RangeError) return Buffer.from(octets).toString('latin1');
    throw error;
  }
}
