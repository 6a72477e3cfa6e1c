import { classifyHeader, type MessageClass } from '../mail-view/message-class.ts';
import type { FieldNames } from '../mail-view/shape.ts';
import type { FetchItems } from './fetch-plan.ts';
import { FetchResponseReader, numberOf, type ResponseItem } from './fetch-response.ts';
import { endOfField, endOfLine, isContentType, mayBeStatus } from './header-lines.ts';
import type { MailboxViews } from './mailbox-views.ts';
import { readServerLine } from './server-line.ts';

const HT = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const CLOSE = 0x29;
const COLON = 0x3a;
const BRACE = 0x7b;
const BRACE_END = 0x7d;

const FETCH = 'FETCH ';
const LINE_END = Buffer.from('\r\n');
const TAIL = Buffer.from(')\r\n');
/** Longer ones take the long way. */
const LITERAL_DIGITS = 4;

type ShellViews = Pick<MailboxViews, 'known' | 'kindOf' | 'learn' | 'isRecorded' | 'recall' | 'listed'>;

/** A response that begins a chunk, and what its client gets. */
export type ShellResponse = { /** Octets of it. */ length: number; said: Buffer };

/**
 * The fast way for what else a listing is made of: header fields, Content-Type among them, of messages that are S/MIME, and that
 * nothing was ever said of but what listings say of all.
 *
 * Holds: what is said here the long way (FetchRelay) would have said octet for octet, and it would have learnt the same. Whatever
 * is not exactly of the common form is left to it, and so is what has to be waited for.
 */
export class ShellResponses {
  readonly #items: FetchItems;
  readonly #views: ShellViews;
  /** The field of the message before: the next one has often the same. */
  #contentType: { octets: Buffer; messageClass: MessageClass } | null = null;

  constructor(items: FetchItems, views: ShellViews) {
    this.#items = items;
    this.#views = views;
  }

  /** The response that `octets` begin with; null: it is none of these, or not whole. */
  first(octets: Buffer): ShellResponse | null {
    const lineEnd = octets.indexOf(LF) + 1;
    const size = literalAt(octets, lineEnd);
    if (size === null) return null;
    const end = lineEnd + size.octets;
    if (!isTail(octets, end)) return null;
    const line = readServerLine(octets.subarray(0, lineEnd));
    if (line.kind !== 'fetch') return null;
    // The long way writes the word in capitals, whatever the mail server does.
    if (octets.toString('latin1', line.at - FETCH.length, line.at) !== FETCH) return null;
    const reader = new FetchResponseReader(this.#items);
    const literal = { size: size.octets, nonSync: false, literal8: false };
    const announced = reader.line(octets.subarray(line.at, lineEnd), literal, true);
    if (announced === null || announced === false) return null;
    const asked = askedOf(announced, this.#items);
    const prefix = size.at;
    if (asked === null || prefixLength(reader.items, line.at) !== prefix) return null;
    const uid = numberOf(reader.items, 'UID');
    const fields = readFields(octets, lineEnd, end, asked);
    if (uid === null || fields === null) return null;
    const shell = this.#shell(uid, octets.subarray(fields.contentType.start, fields.contentType.end));
    if (shell === null) return null;
    const length = end + TAIL.length;
    if (shell === 'identity') return { length, said: octets.subarray(0, length) };
    const added = shell.filter((text) => asked.has(nameOf(text))).join('');
    const label = Buffer.from(`{${size.octets - fields.dropped + added.length}}\r\n`, 'latin1');
    const pieces = [octets.subarray(0, prefix), label];
    for (const { start, end: stop } of fields.kept) pieces.push(octets.subarray(start, stop));
    pieces.push(Buffer.from(added, 'latin1'), LINE_END, TAIL);
    return { length, said: Buffer.concat(pieces) };
  }

  /** Learns what the message is. The fields of its shell; null: the long way decides. */
  #shell(uid: number, contentType: Buffer): readonly string[] | 'identity' | null {
    const views = this.#views;
    // What was said of it in another session may have to be waited for.
    if (views.isRecorded(uid)) return null;
    const known = views.known(uid);
    const kind = known ?? views.kindOf(this.#classOf(contentType), uid);
    if (kind === 'overlay') return null;
    if (kind === 'identity') {
      if (known === null) views.learn(uid, kind);
      return kind;
    }
    if (views.recall(uid) !== null) return null;
    const { overlaid, mark, header, shell, size } = views.listed(uid);
    if (overlaid || mark !== null || header !== null || size !== 'as-announced') return null;
    if (shell !== null && known === null) views.learn(uid, kind);
    return shell;
  }

  #classOf(contentType: Buffer): MessageClass {
    const before = this.#contentType;
    if (before?.octets.equals(contentType) === true) return before.messageClass;
    const octets = Buffer.from(contentType);
    const messageClass = classifyHeader(octets);
    this.#contentType = { octets, messageClass };
    return messageClass;
  }
}

/** The literal announced at the end of the first line; null: none, or a long one. */
function literalAt(octets: Buffer, lineEnd: number): { at: number; octets: number } | null {
  if (octets[lineEnd - 2] !== CR || octets[lineEnd - 3] !== BRACE_END) return null;
  let size = 0;
  let unit = 1;
  let i = lineEnd - 4;
  for (; i > 0 && i >= lineEnd - 3 - LITERAL_DIGITS; i--) {
    const digit = (octets[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    size += digit * unit;
    unit *= 10;
  }
  return octets[i] === BRACE && octets[i - 1] === SP && unit > 1 ? { at: i, octets: size } : null;
}

function isTail(octets: Buffer, at: number): boolean {
  return octets[at] === CLOSE && octets[at + 1] === CR && octets[at + 2] === LF;
}

/** The names that were asked for, if the literal is answered from its own octets and the shell. */
function askedOf({ item }: ResponseItem, items: FetchItems): FieldNames | null {
  if (item.kind !== 'section' || item.partial !== null || items.need(item) !== 'shape') return null;
  return item.section.kind === 'fields' && !item.section.not ? item.section.names : null;
}

/** Octets up to the size of the literal, written as answers are; -1: there is more in the response than what never differs. */
function prefixLength(items: readonly ResponseItem[], at: number): number {
  // `FETCH ` and the parenthesis.
  let length = at + 1;
  for (const [index, { label, item, value }] of items.entries()) {
    length += label.length + 1;
    if (index === items.length - 1) return length;
    if (item.kind !== 'neutral' || value.kind !== 'text') return -1;
    length += value.octets.length + 1;
  }
  return -1;
}

type Span = { start: number; end: number };

/**
 * What the view keeps of the fields from `start` to `end`, if all of them are plain, were asked for and are the same in a view, but for
 * one Content-Type; null: the long way decides.
 */
function readFields(
  octets: Buffer,
  start: number,
  end: number,
  asked: FieldNames,
): { kept: Span[]; contentType: Span; dropped: number } | null {
  let contentType: Span | null = null;
  let at = start;
  while (at < end) {
    const first = octets[at] ?? 0;
    if (first === CR) break;
    if (first === SP || first === HT || mayBeStatus(octets, at, first)) return null;
    const fieldEnd = endOfField(octets, endOfLine(octets, at, end), end);
    if (fieldEnd === -1) return null;
    if (isContentType(octets, at)) {
      if (contentType !== null || octets[at + 'content-type'.length] !== COLON) return null;
      contentType = { start: at, end: fieldEnd };
    } else if (!isKept(octets, at, fieldEnd, asked)) return null;
    at = fieldEnd;
  }
  if (contentType === null || at + LINE_END.length !== end || octets[at + 1] !== LF) return null;
  const kept = [
    { start, end: contentType.start },
    { start: contentType.end, end: at },
  ];
  return { kept, contentType, dropped: contentType.end - contentType.start };
}

/** Whether the field was asked for, and the view has it as it is stored. */
function isKept(octets: Buffer, start: number, end: number, asked: FieldNames): boolean {
  let colon = start;
  for (; colon < end; colon++) {
    const octet = octets[colon] ?? 0;
    if (octet === COLON) break;
    if (octet <= SP || octet > 0x7e) return false;
  }
  if (colon === start || colon === end) return false;
  const name = octets.toString('latin1', start, colon).toLowerCase();
  return asked.has(name) && !/^(?:content-|mime-version$|dkim-|arc-)/.test(name);
}

/** Lower case. */
function nameOf(text: string): string {
  return text.slice(0, text.indexOf(':')).toLowerCase();
}
