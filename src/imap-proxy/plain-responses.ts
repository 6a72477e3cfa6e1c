import type { ViewKind } from '../mail-view/message-class.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import type { FetchItem } from './fetch-item.ts';
import { labelLength } from './fetch-item.ts';
import type { FetchItems } from './fetch-plan.ts';
import { endOfHeader, type HeaderSpan, isPlainHeader } from './plain-header.ts';
import { after, begun, numberAt, numberEnd, startsAt } from './response-octets.ts';

/** What is known of the messages of the selected mailbox (MailboxViews). */
export type KnownKinds = {
  names: ViewNames;
  /** null: not seen yet. */
  known(uid: number): ViewKind | null;
  learn(uid: number, kind: ViewKind): void;
};

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const QUOTE = 0x22;
const CLOSE = 0x29;
const ZERO = 0x30;
const BRACE = 0x7b;
const BRACE_END = 0x7d;

/** Values of these never differ between a message and its view, and are no longer than their line. */
const NUMBERS = [Buffer.from('UID '), Buffer.from('RFC822.SIZE ')] as const;
const [UID] = NUMBERS;
const FLAGS = Buffer.from('FLAGS (');
const MODSEQ = Buffer.from('MODSEQ (');
const INTERNALDATE = Buffer.from('INTERNALDATE "');
/** The longest label that is remembered: a HEADER.FIELDS with its names. */
const LABEL_OCTETS = 1_000;
const LITERAL_DIGITS = 9;

/** A response is short if it has no more octets. */
const SHORT_OCTETS = 16 * 1024;
/** A header that is looked for in more octets is left to the long way. */
const HEADER_OCTETS = 32 * 1024;
/** Behind the last literal of a response. */
const TAIL_OCTETS = 3;

type Label = {
  octets: Buffer;
  /** How far the literal has to be looked at; `body`: not at all, if its message is known. */
  holds: HeaderSpan | 'body';
  /** Whether Content-Type is in it, so that it tells what its message is. */
  tells: boolean;
};

/** A response whose literal goes on behind the octets at hand, and that is passed on whatever comes in it. */
export type BegunResponse = {
  /** Octets of its first line. */
  line: number;
  /** Octets of the literal. */
  size: number;
  uid: number;
  /** Whether its message is known by then, if the response comes to its end. */
  teaches: boolean;
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
  /** The literal that goes beyond the octets in which it was met last. */
  #cut: { start: number; size: number; label: Label } | null = null;

  constructor(items: FetchItems, kinds: KnownKinds) {
    this.#items = items;
    this.#kinds = kinds;
  }

  /** Octets at the beginning of `octets` that are whole plain responses; 0: the first is none. A response begins at 0. */
  length(octets: Buffer): number {
    let end = 0;
    this.#cut = null;
    for (;;) {
      const next = this.#response(octets, end);
      if (next === -1) return end;
      end = next;
    }
  }

  /**
   * Of octets that begin with no whole response (`length`): the response that has begun, if all that matters of it is there. `header`:
   * it may be one, but its header is not whole. null: the long way decides.
   */
  begun(octets: Buffer): BegunResponse | 'header' | null {
    if (this.#cut === null) return null;
    const { start, size, label } = this.#cut;
    const uid = this.#uid;
    const kind = this.#kinds.known(uid);
    if (isView(kind)) return null;
    if (label.holds === 'body') return kind === null ? null : { line: start, size, uid, teaches: false };
    if (label.holds === 'header') return null;
    const end = endOfHeader(octets, start);
    if (end === -1) return octets.length > HEADER_OCTETS ? null : 'header';
    if (end > start + size || !isPlainHeader(octets, start, end, 'message', this.#kinds.names)) return null;
    return { line: start, size, uid, teaches: kind === null };
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
      if (label !== null && startsAt(octets, at, label.octets) && octets[at + label.octets.length] === SP) {
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
  #literal(octets: Buffer, at: number, label: Label): number {
    const { holds, tells } = label;
    const uid = this.#uid;
    if (uid === -1 || octets[at + 1] !== BRACE) return -1;
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
    if (end + TAIL_OCTETS > octets.length) {
      this.#cut = { start, size, label };
      return -1;
    }
    if (octets[end] !== CLOSE || octets[end + 1] !== CR || octets[end + 2] !== LF) return -1;
    const kind = this.#kinds.known(uid);
    if (isView(kind)) return -1;
    if (holds === 'body') return kind === null ? -1 : end + TAIL_OCTETS;
    if (!isPlainHeader(octets, start, end, holds, this.#kinds.names)) return -1;
    if (tells && kind === null) this.#kinds.learn(uid, 'identity');
    return end + TAIL_OCTETS;
  }

  /** Remembers the label at `at`, if its literal is one that can be judged here. */
  #learnLabel(octets: Buffer, at: number): boolean {
    const length = labelLength(octets, at, Math.min(octets.length, at + LABEL_OCTETS));
    if (length <= 0 || octets[at + length] !== SP) return false;
    const text = octets.toString('latin1', at, at + length);
    if (!/^BODY\[[\x20-\x7e]*\](?:<[0-9]+>)?$/.test(text)) return false;
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
  if (item.kind !== 'section') return null;
  const { section, partial } = item;
  if (section.kind === 'text' || section.kind === 'part') return 'body';
  if (partial !== null) return null;
  switch (section.kind) {
    case 'whole':
      return 'message';
    case 'header':
      return 'header';
    case 'fields':
      return !section.not && section.names.has('content-type') ? 'header' : null;
  }
}
