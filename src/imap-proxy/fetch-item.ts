import type { FieldNames } from '../mail-view/shape.ts';

/**
 * One data item of FETCH, as a command asks for it and as a response names it (RFC 9051 §6.4.5, §7.5.2).
 *
 *   section       = "[" [section-spec] "]"
 *   section-spec  = section-msgtext / (section-part ["." section-text])
 *   section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
 */
export type FetchItem =
  /** The same for a message and its view. */
  | { kind: 'neutral'; name: string }
  | { kind: 'structure'; extended: boolean }
  | { kind: 'section'; section: Section; partial: Partial | null }
  /** Without its transfer encoding (RFC 3516 §4.2). An empty path: the whole message. */
  | { kind: 'binary'; path: readonly number[]; partial: Partial | null }
  | { kind: 'binary-size'; path: readonly number[] }
  /** RFC 8970. */
  | { kind: 'preview' }
  /** Nothing is known of it, so it is never shown of a message that has a view. */
  | { kind: 'unknown' };

export type Section =
  | { kind: 'whole' }
  | MessageText
  | { kind: 'part'; path: readonly number[]; text: MessageText | { kind: 'mime' } | null };

export type MessageText =
  | { kind: 'header' }
  | { kind: 'text' }
  | { kind: 'fields'; names: FieldNames; not: boolean };

/** `count` is null in a response. */
export type Partial = { origin: number; count: number | null };

const NEUTRAL: ReadonlySet<string> = new Set(
  (
    'FLAGS UID MODSEQ INTERNALDATE RFC822.SIZE ENVELOPE EMAILID THREADID SAVEDATE ' +
    'X-GM-MSGID X-GM-THRID X-GM-LABELS'
  ).split(' '),
);

/** Reads one item as it is written, without blanks around it. */
export function readFetchItem(text: string): FetchItem {
  const upper = text.toUpperCase();
  if (NEUTRAL.has(upper)) return { kind: 'neutral', name: upper };
  switch (upper) {
    case 'BODYSTRUCTURE':
      return { kind: 'structure', extended: true };
    case 'BODY':
      return { kind: 'structure', extended: false };
    case 'RFC822':
      return { kind: 'section', section: { kind: 'whole' }, partial: null };
    case 'RFC822.HEADER':
      return { kind: 'section', section: { kind: 'header' }, partial: null };
    case 'RFC822.TEXT':
      return { kind: 'section', section: { kind: 'text' }, partial: null };
    case 'PREVIEW':
    case 'PREVIEW (LAZY)':
      return { kind: 'preview' };
    default:
      return readBinaryItem(text) ?? readSectionItem(text);
  }
}

/** `BINARY[1.2]<0>`, `BINARY.SIZE[1.2]` (RFC 3516 §7); null: another item. */
function readBinaryItem(text: string): FetchItem | null {
  const found =
    /^BINARY(\.SIZE)?(?:\.PEEK)?\[((?:[1-9][0-9]{0,5}(?:\.[1-9][0-9]{0,5}){0,99})?)\](<.*>)?$/is.exec(text);
  if (found === null) return null;
  const path = found[2] === '' ? [] : (found[2] ?? '').split('.').map(Number);
  if (found[1] !== undefined) return found[3] === undefined ? { kind: 'binary-size', path } : null;
  const partial = found[3] === undefined ? null : readPartial(found[3]);
  return partial === undefined ? null : { kind: 'binary', path, partial };
}

/** `<0>`, `<0.100>`; undefined: not in the grammar. */
function readPartial(text: string): Partial | undefined {
  const found = /^<([0-9]{1,10})(?:\.([0-9]{1,10}))?>$/.exec(text);
  if (found === null) return undefined;
  return { origin: Number(found[1]), count: found[2] === undefined ? null : Number(found[2]) };
}

function readSectionItem(text: string): FetchItem {
  const found = /^BODY(?:\.PEEK)?\[(.*)\](<[0-9.]{1,21}>)?$/is.exec(text);
  const section = found === null ? null : readSection(found[1] ?? '');
  const partial = found?.[2] === undefined ? null : readPartial(found[2]);
  if (section === null || partial === undefined) return { kind: 'unknown' };
  return { kind: 'section', section, partial };
}

function readSection(text: string): Section | null {
  if (text === '') return { kind: 'whole' };
  const part = /^([1-9][0-9]{0,5}(?:\.[1-9][0-9]{0,5}){0,99})(?:\.(.+))?$/s.exec(text);
  if (part === null) return readMessageText(text);
  const path = (part[1] ?? '').split('.').map(Number);
  if (part[2] === undefined) return { kind: 'part', path, text: null };
  if (part[2].toUpperCase() === 'MIME') return { kind: 'part', path, text: { kind: 'mime' } };
  const inner = readMessageText(part[2]);
  return inner === null ? null : { kind: 'part', path, text: inner };
}

function readMessageText(text: string): MessageText | null {
  const upper = text.toUpperCase();
  if (upper === 'HEADER') return { kind: 'header' };
  if (upper === 'TEXT') return { kind: 'text' };
  const found = /^HEADER\.FIELDS(\.NOT)? \((.+)\)$/is.exec(text);
  if (found === null) return null;
  const names = readNames(found[2] ?? '');
  return names === null ? null : { kind: 'fields', names, not: found[1] !== undefined };
}

/** header-list = "(" header-fld-name *(SP header-fld-name) ")", names being astrings. */
function readNames(text: string): FieldNames | null {
  const names = new Set<string>();
  let rest = text;
  while (rest !== '') {
    const found = /^(?:"((?:[^"\\]|\\["\\])*)"|([^ "(){\\]+))(?: |$)/.exec(rest);
    if (found === null) return null;
    names.add((found[1]?.replace(/\\(.)/g, '$1') ?? found[2] ?? '').toLowerCase());
    rest = rest.slice(found[0].length);
  }
  return names;
}

/**
 * Length of the item label at `at`: an atom, with everything up to the bracket that closes a section.
 * -1: it does not end. Works on octets so that nothing is copied from a response line.
 */
export function labelLength(octets: Buffer, at: number, end: number): number {
  let i = at;
  let quoted = false;
  let inside = false;
  for (; i < end; i++) {
    const octet = octets[i];
    if (inside) {
      if (quoted && octet === 0x5c) i++;
      else if (octet === 0x22) quoted = !quoted;
      else if (octet === 0x5d && !quoted) inside = false;
    } else if (octet === 0x5b) inside = true;
    else if (octet === 0x20 || octet === 0x28 || octet === 0x29) break;
  }
  return inside ? -1 : i - at;
}
