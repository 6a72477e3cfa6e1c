import { bodyStructure } from '../mail-view/body-structure.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import type { ShownHeader } from '../mail-view/render.ts';
import { type FieldNames, fieldsNeed, selectFields, shapeOfFields } from '../mail-view/shape.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import { collect } from '../octets/collect.ts';
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

/** Whether the answer can only be given from the view. */
export function needsView(items: readonly ResponseItem[], names: ViewNames): boolean {
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
};

/** The response as the client gets it, or null when it cannot be given (an item nobody knows). */
export async function answerFromView(stored: StoredAnswer, parts: AnswerParts): Promise<Buffer | null> {
  const pieces: Buffer[] = [];
  for (const each of stored.items) {
    const value = await answerItem(each, stored, parts);
    if (value === null) return null;
    pieces.push(Buffer.from(`${pieces.length === 0 ? '' : ' '}${each.label} `, 'latin1'), value);
  }
  return Buffer.concat([Buffer.from(`* ${stored.msn} FETCH (`), ...pieces, Buffer.from(')\r\n')]);
}

async function answerItem(
  each: ResponseItem,
  stored: StoredAnswer,
  { view, header, boundary, names, command }: AnswerParts,
): Promise<Buffer | null> {
  const { item, value } = each;
  const kept = stored.literals.get(each);
  const shape = shapeFields(item, names);
  if (item.kind === 'neutral' || shape !== null) {
    const octets = value.kind === 'text' ? value.octets : kept;
    if (octets === undefined) return null;
    if (value.kind === 'text') {
      const isEnvelope = item.kind === 'neutral' && item.name === 'ENVELOPE' && !isNil(octets);
      return isEnvelope && header !== null ? Buffer.from(header.envelope, 'latin1') : octets;
    }
    if (shape === null) return literal(octets);
    return literal(shapeOfFields(octets, shape, boundary, names, header?.fields ?? null));
  }
  if (view === null || item.kind === 'unknown') return null;
  if (item.kind === 'structure') return bodyStructure(view, item.extended);
  // The message is gone: nothing else makes the whole of it NIL.
  if (item.section.kind === 'whole' && value.kind === 'text' && isNil(value.octets)) return value.octets;
  const octets = await sectionOf(view, item.section);
  // Some servers say NIL of a part that is not there, some an empty string: as this one does.
  if (octets === null) return value.kind === 'text' && isNil(value.octets) ? value.octets : literal(EMPTY);
  if (item.partial === null) return literal(octets);
  const { origin } = item.partial;
  const count =
    item.partial.count ??
    askedCount(command, item) ??
    (value.kind === 'literal' ? value.size : octets.length);
  return literal(octets.subarray(origin, origin + count));
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
async function sectionOf(view: MessageView, section: Section): Promise<Buffer | null> {
  switch (section.kind) {
    case 'whole':
      return collect(view.octets.read());
    case 'header':
      return view.header();
    case 'text':
      return collect(view.read(await view.text()));
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
): Promise<Buffer | null> {
  const part = await view.part(path);
  if (part === null) return null;
  const { entity, message } = part;
  if (text === null) return collect(view.read(entity.body));
  if (text.kind === 'mime') return collect(view.read({ start: entity.header.start, end: entity.body.start }));
  if (message === null) return null;
  const { header, body } = message;
  if (text.kind === 'text') return collect(view.read(body));
  const fields = await collect(view.read({ start: header.start, end: body.start }));
  return text.kind === 'header' ? fields : selectFields(fields, text.names, text.not);
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

function literal(octets: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{${octets.length}}\r\n`), octets]);
}
