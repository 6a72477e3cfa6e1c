import type { ViewKind } from '../mail-view/message-class.ts';
import type { FetchItem } from './fetch-item.ts';
import { labelLength } from './fetch-item.ts';
import type { FetchItems } from './fetch-plan.ts';
import { endOfField, endOfLine, isContentType, mayBeStatus } from './header-lines.ts';

/** What is known of the messages of the selected mailbox (MailboxViews). */
export type KnownKinds = {
  /** null: not seen yet. */
  known(uid: number): ViewKind | null;
  learn(uid: number, kind: ViewKind): void;
};

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HT = 0x09;
const QUOTE = 0x22;
const OPEN = 0x28;
const CLOSE = 0x29;
const STAR = 0x2a;
const COLON = 0x3a;
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const BRACE_END = 0x7d;

const FETCH = Buffer.from(' FETCH (');
/** Values of these never differ between a message and its view, and are no longer than their line. */
const NUMBERS = [Buffer.from('UID '), Buffer.from('RFC822.SIZE ')] as const;
const [UID] = NUMBERS;
const FLAGS = Buffer.from('FLAGS (');
const MODSEQ = Buffer.from('MODSEQ (');
const INTERNALDATE = Buffer.from('INTERNALDATE "');
/** The longest label that is remembered: a HEADER.FIELDS with its names. */
const LABEL_OCTETS = 1_000;
/** The longest literal that is looked for whole. */
const LITERAL_DIGITS = 7;

/** A response is short if it has no more octets. */
const SHORT_OCTETS = 16 * 1024;
/** Behind the last literal of a response. */
const TAIL_OCTETS = 3;

/** How far the header of the literal has to be looked at. */
type Label = {
  octets: Buffer;
  /** `header`: all of the literal is header fields; `message`: it begins with a header and its empty line. */
  holds: 'header' | 'message';
  /** Whether Content-Type is in it, so that it tells what its message is. */
  tells: boolean;
};

/**
 * The fast way for what is most of all traffic: FETCH responses that are passed on as they are, because they are about
 * messages that are not S/MIME. They are found many at a time in a chunk and leave as one piece of it.
 *
 * Holds: what is found here, the long way (FetchRelay) would have passed on octet for octet, and it would have learnt the
 * same. Whatever is not exactly of the common form is left to it: a line end that is not CRLF, a response that is not
 * whole, a field that may be a status of ours, a Content-Type that may be S/MIME, a message that is known to have a view.
 */
export class PlainResponses {
  readonly #items: FetchItems;
  readonly #kinds: KnownKinds;
  /** The label of the literal of the response before: the next one has nearly always the same. */
  #label: Label | null = null;
  #uid = -1;

  constructor(items: FetchItems, kinds: KnownKinds) {
    this.#items = items;
    this.#kinds = kinds;
  }

  /** Octets at the beginning of `octets` that are whole plain responses; 0: the first is none. A response begins at 0. */
  length(octets: Buffer): number {
    let end = 0;
    for (;;) {
      const next = this.#response(octets, end);
      if (next === -1) return end;
      end = next;
    }
  }

  /**
   * What is to be said of the response that `octets` begin with when it is not plain. `short`: a FETCH response that is still coming
   * and is short, so that it is better waited for than begun; `line`: its first line is still coming.
   */
  rest(octets: Buffer): 'short' | 'line' | 'whole' {
    const lineEnd = octets.indexOf(LF);
    if (lineEnd === -1) return 'line';
    if (begun(octets, 0) === -1 || octets[lineEnd - 2] !== BRACE_END) return 'whole';
    let size = 0;
    let unit = 1;
    let i = lineEnd - 3;
    for (; i > 0 && unit < 1e7; i--) {
      const digit = (octets[i] ?? 0) - ZERO;
      if (digit < 0 || digit > 9) break;
      size += digit * unit;
      unit *= 10;
    }
    const end = lineEnd + 1 + size + TAIL_OCTETS;
    return octets[i] === BRACE && unit > 1 && end > octets.length && end <= SHORT_OCTETS ? 'short' : 'whole';
  }

  /** End of the response at `start`; -1: it is not plain. */
  #response(octets: Buffer, start: number): number {
    let at = begun(octets, start);
    if (at === -1) return -1;
    this.#uid = -1;
    for (;;) {
      const label = this.#label;
      if (label !== null && startsAt(octets, at, label.octets)) {
        return this.#literal(octets, at + label.octets.length, label);
      }
      const value = this.#neutral(octets, at);
      if (value === -1) return this.#learnLabel(octets, at) ? this.#response(octets, start) : -1;
      if (octets[value] === SP) at = value + 1;
      else if (octets[value] === CLOSE) return this.#withoutLiteral(octets, value + 1);
      else return -1;
    }
  }

  /** End of the item at `at` if it is one of the simple ones; -1: it is not. */
  #neutral(octets: Buffer, at: number): number {
    for (const name of NUMBERS) {
      if (!startsAt(octets, at, name)) continue;
      const end = numberEnd(octets, at + name.length);
      if (name === UID && end !== -1) this.#uid = numberAt(octets, at + name.length, end);
      return end;
    }
    if (startsAt(octets, at, FLAGS)) return after(octets, at + FLAGS.length, CLOSE);
    if (startsAt(octets, at, INTERNALDATE)) return after(octets, at + INTERNALDATE.length, QUOTE);
    if (startsAt(octets, at, MODSEQ)) return after(octets, at + MODSEQ.length, CLOSE);
    return -1;
  }

  #withoutLiteral(octets: Buffer, at: number): number {
    if (octets[at] !== CR || octets[at + 1] !== LF) return -1;
    if (this.#uid !== -1 && isView(this.#kinds.known(this.#uid))) return -1;
    return at + 2;
  }

  /** `at`: behind the label of an item whose literal is the last of the response. */
  #literal(octets: Buffer, at: number, { holds, tells }: Label): number {
    const uid = this.#uid;
    if (uid === -1 || octets[at] !== SP || octets[at + 1] !== BRACE) return -1;
    let size = 0;
    let i = at + 2;
    for (; i < at + 2 + LITERAL_DIGITS; i++) {
      const digit = (octets[i] ?? 0) - ZERO;
      if (digit < 0 || digit > 9) break;
      size = size * 10 + digit;
    }
    if (i === at + 2 || octets[i] !== BRACE_END || octets[i + 1] !== CR || octets[i + 2] !== LF) return -1;
    const start = i + 3;
    const end = start + size;
    if (octets[end] !== CLOSE || octets[end + 1] !== CR || octets[end + 2] !== LF) return -1;
    const kind = this.#kinds.known(uid);
    if (isView(kind) || !isPlainHeader(octets, start, end, holds)) return -1;
    if (tells && kind === null) this.#kinds.learn(uid, 'identity');
    return end + 3;
  }

  /** Remembers the label at `at`, if its literal is one that can be judged here. */
  #learnLabel(octets: Buffer, at: number): boolean {
    const length = labelLength(octets, at, Math.min(octets.length, at + LABEL_OCTETS));
    if (length <= 0 || octets[at + length] !== SP) return false;
    const text = octets.toString('latin1', at, at + length);
    if (!/^BODY\[[\x20-\x7e]*\]$/.test(text)) return false;
    const item = this.#items.read(text);
    const holds = holdsOf(item);
    if (holds === null) return false;
    this.#label = { octets: Buffer.from(text, 'latin1'), holds, tells: this.#items.need(item) !== 'nothing' };
    return true;
  }
}

function isView(kind: ViewKind | null): boolean {
  return kind === 'shell' || kind === 'overlay';
}

/** null: the long way decides. */
function holdsOf(item: FetchItem): Label['holds'] | null {
  if (item.kind !== 'section' || item.partial !== null) return null;
  const { section } = item;
  switch (section.kind) {
    case 'whole':
      return 'message';
    case 'header':
      return 'header';
    case 'fields':
      return !section.not && section.names.has('content-type') ? 'header' : null;
    default:
      return null;
  }
}

/** Offset behind `* n FETCH (`; -1: something else, or it is not whole. */
function begun(octets: Buffer, start: number): number {
  if (octets[start] !== STAR || octets[start + 1] !== SP) return -1;
  const first = octets[start + 2] ?? 0;
  if (first <= ZERO || first > ZERO + 9) return -1;
  const end = numberEnd(octets, start + 2);
  return end !== -1 && startsAt(octets, end, FETCH) ? end + FETCH.length : -1;
}

function startsAt(octets: Buffer, at: number, wanted: Buffer): boolean {
  const { length } = wanted;
  if (at + length > octets.length) return false;
  for (let i = 0; i < length; i++) if (octets[at + i] !== wanted[i]) return false;
  return true;
}

/** Behind one to nine digits; -1: there are none, or more. */
function numberEnd(octets: Buffer, at: number): number {
  let i = at;
  for (; i <= at + 9; i++) {
    const digit = (octets[i] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) break;
  }
  return i === at || i === at + 10 ? -1 : i;
}

function numberAt(octets: Buffer, at: number, end: number): number {
  let value = 0;
  for (let i = at; i < end; i++) value = value * 10 + (octets[i] ?? 0) - ZERO;
  return value;
}

/** Behind the next `closing`, before which is nothing that could open, quote or end a line; -1: there is something. */
function after(octets: Buffer, at: number, closing: number): number {
  for (let i = at; i < octets.length; i++) {
    const octet = octets[i] ?? 0;
    if (octet === closing) return i + 1;
    const isFlag = octet === BACKSLASH && closing === CLOSE;
    if (octet < SP || octet > 0x7e || octet === QUOTE || octet === OPEN || octet === BRACE) return -1;
    if (octet === BACKSLASH && !isFlag) return -1;
  }
  return -1;
}

/**
 * Whether the header that begins at `start` is surely shown as it is stored: all lines end with CRLF and hold no NUL, no field
 * can be taken for a status of ours, and the Content-Type, if there is one, is neither encrypted nor signed.
 */
function isPlainHeader(octets: Buffer, start: number, end: number, holds: Label['holds']): boolean {
  let at = start;
  while (at < end) {
    const first = octets[at] ?? 0;
    // The empty line: what is behind it is no header.
    if (first === CR)
      return octets[at + 1] === LF && at + 2 <= end && (holds === 'message' || at + 2 === end);
    // What continues no field, and what begins like a field that matters.
    if (at === start && (first === SP || first === HT)) return false;
    if (mayBeStatus(octets, at, first)) return false;
    const lineEnd = endOfLine(octets, at, end);
    if (lineEnd === -1) return false;
    if ((first | 0x20) === 0x63 && isContentType(octets, at)) {
      const fieldEnd = endOfField(octets, lineEnd, end);
      if (fieldEnd === -1 || !isPlainContentType(octets, at, fieldEnd)) return false;
      at = fieldEnd;
    } else at = lineEnd;
  }
  return holds === 'header';
}

/** No class but `none` (message-class.ts) does without one of these words, and they may be written with comments. */
function isPlainContentType(octets: Buffer, at: number, end: number): boolean {
  if (octets[at + 'content-type'.length] !== COLON) return false;
  return !/application|signed|\(/i.test(octets.toString('latin1', at, end));
}
