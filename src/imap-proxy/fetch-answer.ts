import { SealgateError } from '../errors.ts';
import type { AtRestMark } from '../mail-view/at-rest-marker.ts';
import { bodyStructure } from '../mail-view/body-structure.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import type { ShownHeader } from '../mail-view/render.ts';
import { type FieldNames, fieldsNeed, selectFields, shapeOfFields } from '../mail-view/shape.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import { collect } from '../octets/collect.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { Answer, ViewRange } from './answer.ts';
import { headerFromMark, needsMore, neutralFromMark } from './append/at-rest-answer.ts';
import type { FetchItem, MessageText, Section } from './fetch-item.ts';
import type { FetchCommand } from './fetch-plan.ts';
import type { ResponseItem } from './fetch-response.ts';

/** A response of the upstream about a message in the shell, read but not passed on. */
export type StoredAnswer = {
  msn: number;
  items: readonly ResponseItem[];
  /** Octets of the literals that are kept: header fields. */
  literals: ReadonlyMap<ResponseItem, Buffer>;
};

/**
 * Whether the answer can only be given from the view.
 *
 * @param atRest whether its marker says what is in its header
 */
export function needsView(items: readonly ResponseItem[], names: ViewNames, atRest: boolean): boolean {
  if (atRest) return items.some(needsMore);
  return items.some(
    ({ item }) =>
      item.kind === 'structure' ||
      item.kind === 'unknown' ||
      (item.kind === 'section' && shapeFields(item, names) === null),
  );
}

/** The asked names of an item that is answered from its own octets; null: another item. */
function shapeFields(item: FetchItem, names: ViewNames): FieldNames | null {
  if (item.kind !== 'section' || item.partial !== null) return null;
  const { section } = item;
  if (section.kind !== 'fields' || section.not) return null;
  return fieldsNeed(section.names, names) === 'view' ? null : section.names;
}

/** What an answer is made of, besides what the upstream said. */
export type AnswerParts = {
  /** null only where `needsView` is false. */
  view: MessageView | null;
  /** Of a message that was opened: what its view has in the place of stored header fields; null: nothing. */
  header: ShownHeader | null;
  boundary: string;
  names: ViewNames;
  command: FetchCommand | null;
  /** Of a message that lies encrypted at rest; null: of any other. */
  mark: AtRestMark | null;
};

/** Octets, those of a view as a range; null: an item nobody knows. */
type Value = Buffer | ViewRange;

/** The response as the client gets it, or why it cannot be given. The view is held by what comes back. Never rejects for a view that cannot be read. */
export async function answerFromView(stored: StoredAnswer, parts: AnswerParts): Promise<Answer | Withheld> {
  const release = parts.view?.hold() ?? nothing;
  try {
    const pieces: Value[] = [Buffer.from(`* ${stored.msn} FETCH (`)];
    for (const each of stored.items) {
      const value = await answerItem(each, stored, parts);
      if (value === null) {
        release();
        return { code: 'SERVERBUG', text: 'A part of this message cannot be shown.' };
      }
      pieces.push(Buffer.from(`${pieces.length === 1 ? '' : ' '}${each.label} `, 'latin1'), ...value);
    }
    return { pieces: [...pieces, Buffer.from(')\r\n')], release };
  } catch (error) {
    release();
    if (error instanceof SealgateError) return { code: 'UNAVAILABLE', text: error.publicText };
    throw error;
  }
}

async function answerItem(
  each: ResponseItem,
  stored: StoredAnswer,
  { view, header, boundary, names, command, mark }: AnswerParts,
): Promise<readonly Value[] | null> {
  const { item, value } = each;
  if (mark !== null) {
    const stored = neutralFromMark(each, mark);
    if (stored !== null) return [stored];
    const fields = headerFromMark(item, mark);
    if (fields !== null) return literal(asked(fields, each, command));
  }
  const kept = stored.literals.get(each);
  const shape = shapeFields(item, names);
  if (item.kind === 'neutral' || shape !== null) {
    const octets = value.kind === 'text' ? value.octets : kept;
    if (octets === undefined) return null;
    if (value.kind === 'text') {
      const isEnvelope = item.kind === 'neutral' && item.name === 'ENVELOPE' && !isNil(octets);
      return [isEnvelope && header !== null ? Buffer.from(header.envelope, 'latin1') : octets];
    }
    if (shape === null) return literal(octets);
    return literal(shapeOfFields(octets, shape, boundary, names, header?.fields ?? null));
  }
  if (view === null || item.kind === 'unknown') return null;
  if (item.kind === 'structure') return [await bodyStructure(view, item.extended)];
  // The message is gone: nothing else makes the whole of it NIL.
  if (item.section.kind === 'whole' && value.kind === 'text' && isNil(value.octets)) return [value.octets];
  const octets = await sectionOf(view, item.section);
  // Some servers say NIL of a part that is not there, some an empty string: as this one does.
  if (octets === null) return value.kind === 'text' && isNil(value.octets) ? [value.octets] : literal(EMPTY);
  return literal(asked(octets, each, command));
}

/** The piece of it that was asked for. */
function asked(octets: Value, { item, value }: ResponseItem, command: FetchCommand | null): Value {
  if (item.kind !== 'section' || item.partial === null) return octets;
  const { origin } = item.partial;
  const count =
    item.partial.count ??
    askedCount(command, item) ??
    (value.kind === 'literal' ? value.size : lengthOf(octets));
  return pieceOf(octets, origin, count);
}

/** A response names only the origin of a piece; its length is in the command. */
function askedCount(
  command: FetchCommand | null,
  item: Extract<FetchItem, { kind: 'section' }>,
): number | null {
  for (const asked of command?.items ?? []) {
    if (asked.kind !== 'section' || asked.partial?.origin !== item.partial?.origin) continue;
    if (sectionKey(asked.section) === sectionKey(item.section)) return asked.partial?.count ?? null;
  }
  return null;
}

function sectionKey(section: Section | MessageText | { kind: 'mime' }): string {
  switch (section.kind) {
    case 'fields':
      return `fields ${section.not} ${[...section.names].sort().join(' ')}`;
    case 'part':
      return `${section.path.join('.')} ${section.text === null ? '' : sectionKey(section.text)}`;
    default:
      return section.kind;
  }
}

/** null: there is no such part. */
async function sectionOf(view: MessageView, section: Section): Promise<Value | null> {
  switch (section.kind) {
    case 'whole':
      return { view, range: { start: 0, end: view.length } };
    case 'header':
      return view.header();
    case 'text':
      return { view, range: await view.text() };
    case 'fields':
      return selectFields(await view.header(), section.names, section.not);
    case 'part':
      return partOf(view, section.path, section.text);
  }
}

async function partOf(
  view: MessageView,
  path: readonly number[],
  text: MessageText | { kind: 'mime' } | null,
): Promise<Value | null> {
  const part = await view.part(path);
  if (part === null) return null;
  const { entity, message } = part;
  if (text === null) return { view, range: entity.body };
  if (text.kind === 'mime') return { view, range: { start: entity.header.start, end: entity.body.start } };
  if (message === null) return null;
  const { header, body } = message;
  if (text.kind === 'text') return { view, range: body };
  const range = { start: header.start, end: body.start };
  if (text.kind === 'header') return { view, range };
  return selectFields(await collect(view.read(range)), text.names, text.not);
}

/**
 * Flags are said at once, before a message is waited for: what comes behind a later STORE must not bring back those before it.
 * `rest`: what is still to be answered.
 */
export function newsOf(
  msn: number,
  items: readonly ResponseItem[],
): { news: Buffer | null; rest: readonly ResponseItem[] } {
  const isNews = ({ item }: ResponseItem): boolean =>
    item.kind === 'neutral' && (item.name === 'FLAGS' || item.name === 'MODSEQ');
  if (!items.some(isNews)) return { news: null, rest: items };
  const told = items.filter(
    (each) => isNews(each) || (each.item.kind === 'neutral' && each.item.name === 'UID'),
  );
  const texts = told.flatMap(({ label, value }) =>
    value.kind === 'text' ? [`${label} ${value.octets.toString('latin1')}`] : [],
  );
  return {
    news: Buffer.from(`* ${msn} FETCH (${texts.join(' ')})\r\n`, 'latin1'),
    rest: items.filter((each) => !isNews(each)),
  };
}

function isNil(octets: Buffer): boolean {
  return octets.toString('latin1').toUpperCase() === 'NIL';
}

const EMPTY = Buffer.alloc(0);

const nothing = (): void => undefined;

/** Beyond the end there is nothing (RFC 9051 §6.4.5). */
function pieceOf(value: Value, origin: number, count: number): Value {
  if (Buffer.isBuffer(value)) return value.subarray(origin, origin + count);
  const start = Math.min(value.range.start + origin, value.range.end);
  return { view: value.view, range: { start, end: Math.min(start + count, value.range.end) } };
}

function lengthOf(value: Value): number {
  return Buffer.isBuffer(value) ? value.length : value.range.end - value.range.start;
}

function literal(value: Value): Value[] {
  return [Buffer.from(`{${lengthOf(value)}}\r\n`), value];
}
