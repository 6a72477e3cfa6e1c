import { fieldsNeed } from '../mail-view/shape.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import { type FetchItem, labelLength, readFetchItem } from './fetch-item.ts';

/** A client's FETCH as far as its responses depend on it. */
export type FetchCommand = {
  byUid: boolean;
  /** The client's own octets, checked to be a sequence set. */
  set: string;
  items: readonly FetchItem[];
};

/**
 * fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
 *         [SP "(" fetch-modifier … ")"]
 * null: not in the grammar; the upstream will say so, or it has a literal in it.
 */
export function readFetchCommand(byUid: boolean, argument: string): FetchCommand | null {
  const head = /^([0-9:,*]+|\$) (.*)$/s.exec(argument);
  if (head === null) return null;
  const set = head[1] ?? '';
  const rest = Buffer.from(head[2] ?? '', 'latin1');
  const items = rest[0] === 0x28 ? readList(rest) : readSingle(rest);
  return items === null ? null : { byUid, set, items };
}

function readSingle(octets: Buffer): FetchItem[] | null {
  const length = labelLength(octets, 0, octets.length);
  if (length <= 0) return null;
  const text = octets.toString('latin1', 0, length);
  switch (text.toUpperCase()) {
    case 'ALL':
    case 'FAST':
      return [];
    case 'FULL':
      return [{ kind: 'structure', extended: false }];
    default:
      return [readFetchItem(text)];
  }
}

function readList(octets: Buffer): FetchItem[] | null {
  const items: FetchItem[] = [];
  let at = 1;
  for (;;) {
    const length = labelLength(octets, at, octets.length);
    if (length <= 0) return null;
    items.push(readFetchItem(octets.toString('latin1', at, at + length)));
    at += length;
    const next = octets[at++];
    if (next === 0x29) return items;
    if (next !== 0x20) return null;
  }
}

/** What has to be done for a FETCH beyond passing it on. */
export type FetchPlan = {
  /** Before it: learn which messages of the set are S/MIME (and their UIDs), because its responses will not tell. */
  classifyFirst: boolean;
  /** Nothing may go upstream behind it until it is answered, because messages may have to be fetched to answer it. */
  alone: boolean;
};

export function planFetch(command: FetchCommand | null, names: ViewNames): FetchPlan {
  if (command === null) return { classifyFirst: true, alone: true };
  const uidKnown =
    command.byUid || command.items.some((item) => item.kind === 'neutral' && item.name === 'UID');
  let concerned = false;
  let classifyFirst = false;
  let needsView = false;
  let whole = false;
  for (const item of command.items) {
    const need = needOf(item, names);
    if (need === 'nothing') continue;
    concerned = true;
    if (need === 'class') classifyFirst = true;
    if (need === 'view' || need === 'class') needsView = true;
    if (need === 'whole') whole = true;
  }
  if (concerned && !uidKnown) classifyFirst = true;
  return { classifyFirst, alone: classifyFirst || (needsView && !whole) };
}

/**
 * What a response with this item needs when its message is S/MIME. `whole`: it brings everything along; `shape`: its
 * own octets; `view`: the response tells that the message is S/MIME, the view must be there; `class`: it does not tell.
 */
export function needOf(item: FetchItem, names: ViewNames): 'nothing' | 'whole' | 'shape' | 'view' | 'class' {
  switch (item.kind) {
    case 'neutral':
      return 'nothing';
    case 'structure':
      return 'view';
    case 'unknown':
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
      const need = fieldsNeed(asked, names);
      if (need === 'as-stored') return 'nothing';
      if (!asked.has('content-type')) return 'class';
      return need;
    }
  }
}

type Need = ReturnType<typeof needOf>;

/** Labels remembered; a client uses a handful. */
const REMEMBERED = 100;

/** Items by their label, read once: the same few stand in every response of a listing. */
export class FetchItems {
  readonly #names: ViewNames;
  readonly #items = new Map<string, FetchItem>();
  readonly #needs = new Map<FetchItem, Need>();

  constructor(names: ViewNames) {
    this.#names = names;
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
    this.#needs.set(item, needOf(item, this.#names));
    return item;
  }

  need(item: FetchItem): Need {
    return this.#needs.get(item) ?? needOf(item, this.#names);
  }
}
