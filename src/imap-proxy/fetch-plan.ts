import { isTraceField } from '../mail-view/clear-signed-overlay.ts';
import { fieldsNeed } from '../mail-view/shape.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import { type FetchItem, labelLength, readFetchItem } from './fetch-item.ts';

/** A client's FETCH as far as its responses depend on it. */
export type FetchCommand = {
  byUid: boolean;
  /** The client's own octets, checked to be a sequence set. */
  set: string;
  items: readonly FetchItem[];
  /** The items as they are written, macros in full. */
  written: string;
  /** `(CHANGEDSINCE 5)`, `(PARTIAL 1:100)` and the like (RFC 7162 §3.1.4, RFC 9394 §3.3), as they are written; or empty. */
  modifiers: string;
};

/**
 * fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
 *         [SP "(" fetch-modifier … ")"]
 * null: not in the grammar; the upstream will say so, or it has a literal in it.
 */
export function readFetchCommand(byUid: boolean, argument: string): FetchCommand | null {
  const head = /^([0-9:,*]+|\$) (.*)$/s.exec(argument);
  if (head === null) return null;
  const [, set = '', rest = ''] = head;
  const text = macroInFull(rest);
  const octets = Buffer.from(text, 'latin1');
  const isList = octets[0] === 0x28;
  const end = isList ? listEnd(octets) : itemLength(octets, 0);
  const behind = text.slice(end + (isList ? 1 : 0));
  if (end <= 0 || !/^(?: \([^\r\n]*\))?$/.test(behind)) return null;
  const items = readItems(octets, isList ? 1 : 0, end);
  const written = text.slice(isList ? 1 : 0, end);
  return items === null ? null : { byUid, set, items, written, modifiers: behind.slice(1) };
}

/** RFC 9051 §6.4.5, fetch macros. */
const MACROS: ReadonlyMap<string, string> = new Map([
  ['FAST', '(FLAGS INTERNALDATE RFC822.SIZE)'],
  ['ALL', '(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)'],
  ['FULL', '(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)'],
]);

function macroInFull(text: string): string {
  const word = /^[A-Za-z]+(?= |$)/.exec(text)?.[0] ?? '';
  const full = MACROS.get(word.toUpperCase());
  return full === undefined ? text : full + text.slice(word.length);
}

/** Where the list that begins with the first octet is closed; -1: nowhere. */
function listEnd(octets: Buffer): number {
  let at = 1;
  for (;;) {
    const length = itemLength(octets, at);
    if (length <= 0) return -1;
    at += length;
    const next = octets[at];
    if (next === 0x29) return at;
    if (next !== 0x20) return -1;
    at++;
  }
}

/** A label, and what may stand in parentheses behind it: `PREVIEW (LAZY)` (RFC 8970 §3.1). */
function itemLength(octets: Buffer, at: number): number {
  const length = labelLength(octets, at, octets.length);
  if (length <= 0) return -1;
  const isPreview = /^preview$/i.test(octets.toString('latin1', at, at + length));
  if (!isPreview) return length;
  const lazy = / \(lazy\)/iy;
  lazy.lastIndex = at + length;
  return lazy.test(octets.toString('latin1')) ? lazy.lastIndex - at : length;
}

function readItems(octets: Buffer, start: number, end: number): FetchItem[] | null {
  const items: FetchItem[] = [];
  for (let at = start; at < end; at++) {
    const length = itemLength(octets, at);
    if (length <= 0) return null;
    items.push(readFetchItem(octets.toString('latin1', at, at + length)));
    at += length;
  }
  return items;
}

/** Whether responses say which message they are about. */
export function saysUid({ byUid, items }: FetchCommand): boolean {
  return byUid || items.some((item) => item.kind === 'neutral' && item.name === 'UID');
}

/** The command's argument with UID among what is asked for. */
export function withUid({ set, written, modifiers }: FetchCommand): string {
  return `${set} (UID ${written})${modifiers === '' ? '' : ` ${modifiers}`}`;
}

/** The modifiers that say which messages are meant, for another FETCH of the same ones. */
export function choosingModifiers({ modifiers }: FetchCommand): string {
  const chosen = modifiers.replace(/ VANISHED(?=[ )])/i, '');
  return chosen === '' ? '' : ` ${chosen}`;
}

/** What listings say of a message in the shell that was not opened yet: the same of all, or something only its view tells. */
export type ListingKind = { size: 'announced' | 'of-view'; shell: 'constant' | 'of-view' } & {
  /** `overlaid`: the header of clear-signed messages is known only once they were verified. */
  clearSigned: 'as-stored' | 'overlaid';
};

export const CONSTANT: ListingKind = { size: 'announced', shell: 'constant', clearSigned: 'as-stored' };

/** What has to be done for a FETCH beyond passing it on. */
export type FetchPlan = {
  /** Before it: learn which messages of the set are S/MIME (and their UIDs), because its responses will not tell. */
  classifyFirst: boolean;
  /** Nothing may go upstream behind it until it is answered, because messages may have to be fetched to answer it. */
  alone: boolean;
  /** The client has not asked for UIDs, and its responses are about more than the moment. */
  addUid: boolean;
};

export function planFetch(
  command: FetchCommand | null,
  names: ViewNames,
  listing: ListingKind = CONSTANT,
): FetchPlan {
  if (command === null) return { classifyFirst: true, alone: true, addUid: false };
  const needs = command.items.map((item) => needOf(item, names, listing));
  const addUid = !saysUid(command) && command.items.some(isAboutMessage);
  // What its message is shows in the response, which is held until then, if nothing in it is longer than its line.
  const tells = needs.some((need) => need === 'whole' || need === 'view' || need === 'shape');
  const classifyFirst = needs.includes('class') || (needs.includes('class-held') && !tells);
  const ofView = needs.includes('view') || (listing.shell === 'of-view' && needs.includes('shape'));
  const needsView = classifyFirst || ofView || (listing.size === 'of-view' && needs.includes('class-held'));
  const whole = needs.includes('whole');
  return { classifyFirst, alone: classifyFirst || (needsView && !whole), addUid };
}

/** Whether it may say something else of a message than of its view. */
function isAboutMessage(item: FetchItem): boolean {
  return item.kind !== 'neutral' || item.name === 'RFC822.SIZE' || item.name === 'ENVELOPE';
}

/**
 * What a response with this item needs when its message is S/MIME. `whole`: it brings everything along; `shape`: its
 * own octets; `view`: the response tells that the message is S/MIME, the view must be there; `class`: it does not tell;
 * `class-held`: neither, but something else in the response may.
 */
export function needOf(
  item: FetchItem,
  names: ViewNames,
  listing: ListingKind = CONSTANT,
): 'nothing' | 'whole' | 'shape' | 'view' | 'class' | 'class-held' {
  switch (item.kind) {
    case 'neutral':
      return item.name === 'RFC822.SIZE' && listing.size === 'of-view' ? 'class-held' : 'nothing';
    case 'preview':
      return 'class-held';
    case 'structure':
      return 'view';
    case 'unknown':
    case 'binary':
    case 'binary-size':
      return 'class';
    case 'section':
      break;
  }
  if (item.partial !== null) return 'class';
  switch (item.section.kind) {
    case 'whole':
      return 'whole';
    case 'header':
      return 'view';
    case 'text':
    case 'part':
      return 'class';
    case 'fields': {
      const { names: asked, not } = item.section;
      if (not) return 'class';
      const overlaid = listing.clearSigned === 'overlaid' && [...asked].some(isTraceField);
      const need = overlaid ? 'view' : fieldsNeed(asked, names);
      if (need === 'as-stored') return 'nothing';
      if (!asked.has('content-type')) return 'class';
      return need;
    }
  }
}

type Need = ReturnType<typeof needOf>;

function dependsOnListing(item: FetchItem): boolean {
  if (item.kind === 'neutral') return item.name === 'RFC822.SIZE';
  return (
    item.kind === 'section' && item.section.kind === 'fields' && [...item.section.names].some(isTraceField)
  );
}

/** Labels remembered; a client uses a handful. */
const REMEMBERED = 100;

/** Items by their label, read once: the same few stand in every response of a listing. */
export class FetchItems {
  readonly #names: ViewNames;
  readonly #listing: () => ListingKind;
  readonly #items = new Map<string, FetchItem>();
  readonly #needs = new Map<FetchItem, Need>();

  /** `listing`: it may change when the client says who it is. */
  constructor(names: ViewNames, listing: () => ListingKind = () => CONSTANT) {
    this.#names = names;
    this.#listing = listing;
  }

  read(label: string): FetchItem {
    const known = this.#items.get(label);
    if (known !== undefined) return known;
    const item = readFetchItem(label);
    if (this.#items.size >= REMEMBERED) {
      this.#items.clear();
      this.#needs.clear();
    }
    this.#items.set(label, item);
    if (!dependsOnListing(item)) {
      this.#needs.set(item, needOf(item, this.#names));
    }
    return item;
  }

  need(item: FetchItem): Need {
    return this.#needs.get(item) ?? needOf(item, this.#names, this.#listing());
  }
}
