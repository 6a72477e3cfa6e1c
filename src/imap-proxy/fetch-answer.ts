import { SealgateError } from '../errors.ts';
import { bodyStructure } from '../mail-view/body-structure.ts';
import { isTraceField } from '../mail-view/clear-signed-overlay.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import { type FieldNames, fieldsNeed, shapeOfFields } from '../mail-view/shape.ts';
import type { ViewNames } from '../mail-view/view-names.ts';
import { previewOf } from '../reading/preview.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { Answer } from './answer.ts';
import { headerFromMark, needsMore, neutralFromMark } from './append/at-rest-answer.ts';
import type { FetchItem } from './fetch-item.ts';
import type { FetchCommand } from './fetch-plan.ts';
import type { ResponseItem } from './fetch-response.ts';
import type { ListedMessage } from './mailbox-views.ts';
import {
  askedCount,
  binaryOf,
  type Divisible,
  lengthOf,
  pieceOf,
  sectionOf,
  type Value,
} from './view-sections.ts';

/** A response of the upstream about a message in the shell, read but not passed on. */
export type StoredAnswer = {
  msn: number;
  items: readonly ResponseItem[];
  /** Octets of the literals that are kept: header fields. */
  literals: ReadonlyMap<ResponseItem, Buffer>;
};

/** Whether the answer can only be given from the view. */
export function needsView(
  items: readonly ResponseItem[],
  names: ViewNames,
  { mark, shell, size, overlaid }: ListedMessage,
): boolean {
  if (overlaid) return items.some((each) => !isAsStored(each, names));
  if (mark !== null) return items.some(needsMore);
  return items.some(({ item }) => {
    switch (item.kind) {
      case 'neutral':
        return item.name === 'RFC822.SIZE' && size === null;
      case 'preview':
        return false;
      case 'section':
        return shapeFields(item, names) === null || (shell === null && isShape(item, names));
      default:
        return true;
    }
  });
}

/** The asked names of an item that is answered from its own octets; null: another item. */
function shapeFields(item: FetchItem, names: ViewNames): FieldNames | null {
  if (item.kind !== 'section' || item.partial !== null) return null;
  const { section } = item;
  if (section.kind !== 'fields' || section.not) return null;
  return fieldsNeed(section.names, names) === 'view' ? null : section.names;
}

function isShape(item: FetchItem, names: ViewNames): boolean {
  const asked = shapeFields(item, names);
  return asked !== null && fieldsNeed(asked, names) === 'shape';
}

/** Of a clear-signed message with a status: whether the server's own octets are the answer. */
function isAsStored({ item, value }: ResponseItem, names: ViewNames): boolean {
  switch (item.kind) {
    case 'neutral':
    case 'preview':
      return true;
    case 'structure':
      return value.kind === 'text';
    case 'section': {
      const asked = shapeFields(item, names);
      return asked !== null && ![...asked].some(isTraceField);
    }
    default:
      return false;
  }
}

/** What an answer is made of, besides what the upstream said. */
export type AnswerParts = {
  /** null only where `needsView` is false. */
  view: MessageView | null;
  listed: ListedMessage;
  names: ViewNames;
  command: FetchCommand | null;
};

/**
 * The response as the client gets it, or why it cannot be given. The view is held by what comes back. Never rejects for a view
 * that cannot be read.
 */
export async function answerFromView(stored: StoredAnswer, parts: AnswerParts): Promise<Answer | Withheld> {
  const release = parts.view?.hold() ?? nothing;
  try {
    const pieces: Value[] = [Buffer.from(`* ${stored.msn} FETCH (`)];
    for (const each of stored.items) {
      const value = await answerItem(each, stored, parts);
      if ('code' in value) {
        release();
        return value;
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

const NOT_SHOWN: Withheld = { code: 'SERVERBUG', text: 'A part of this message cannot be shown.' };
const UNDECODABLE: Withheld = {
  code: 'UNKNOWN-CTE',
  text: 'A part of this message has an encoding that cannot be taken off. Fetch it as it is.',
};

async function answerItem(
  each: ResponseItem,
  stored: StoredAnswer,
  { view, listed, names, command }: AnswerParts,
): Promise<readonly Value[] | Withheld> {
  const { item, value } = each;
  const { mark, shell, header, overlaid } = listed;
  if (mark !== null) {
    const said = neutralFromMark(each, mark);
    if (said !== null) return [said];
    const fields = headerFromMark(item, mark);
    if (fields !== null && item.kind === 'section') return literal(asked(fields, item, value, command));
  }
  if (overlaid && isAsStored(each, names)) {
    if (value.kind === 'text') return [value.octets];
    const kept = stored.literals.get(each);
    if (kept !== undefined) return literal(kept);
    if (item.kind === 'preview') return [NIL];
    return NOT_SHOWN;
  }
  const shape = overlaid ? null : shapeFields(item, names);
  if (item.kind === 'neutral' && value.kind === 'text')
    return [neutral(item.name, value.octets, view, listed)];
  if (item.kind === 'neutral' || shape !== null) {
    const kept = value.kind === 'text' ? value.octets : stored.literals.get(each);
    if (kept === undefined) return NOT_SHOWN;
    if (value.kind === 'text') return [kept];
    if (shape === null) return literal(kept);
    // Without a view only where none of what the shell has is asked for.
    const fields = shell ?? (await shellIn(view));
    return literal(shapeOfFields(kept, shape, fields, names, header?.fields ?? null));
  }
  if (item.kind === 'preview') {
    const words = listed.preview() ?? (view === null ? null : await previewOf(view));
    return [words === null ? NIL : preview(words)];
  }
  if (view === null || item.kind === 'unknown') return NOT_SHOWN;
  switch (item.kind) {
    case 'structure':
      return [await bodyStructure(view, item.extended)];
    case 'binary-size': {
      const octets = await binaryOf(view, item.path);
      if (octets === 'undecodable') return UNDECODABLE;
      return [Buffer.from(String(octets === null ? 0 : lengthOf(octets)))];
    }
    case 'binary': {
      const octets = await binaryOf(view, item.path);
      if (octets === 'undecodable') return UNDECODABLE;
      if (octets === null) return absent(value);
      const [label, ...rest] = literal(asked(octets, item, value, command));
      return label === undefined ? NOT_SHOWN : [Buffer.from('~'), label, ...rest];
    }
    case 'section': {
      // The message is gone: nothing else makes the whole of it NIL.
      const gone = item.section.kind === 'whole' && value.kind === 'text' && isNil(value.octets);
      const octets = gone ? null : await sectionOf(view, item.section);
      return octets === null ? absent(value) : literal(asked(octets, item, value, command));
    }
  }
}

/** What the server says, but for what the view has otherwise. */
function neutral(name: string, said: Buffer, view: MessageView | null, listed: ListedMessage): Buffer {
  if (name === 'ENVELOPE' && !isNil(said) && listed.header !== null) {
    return Buffer.from(listed.header.envelope, 'latin1');
  }
  if (name !== 'RFC822.SIZE' || listed.size === 'as-announced') return said;
  return Buffer.from(String(listed.size ?? view?.length ?? said.toString('latin1')));
}

/** MIME-Version and Content-* fields of an opened view, lines. */
async function shellIn(view: MessageView | null): Promise<string[]> {
  if (view === null) return [];
  const header = (await view.header()).toString('latin1');
  return header.match(/^(?:content-|mime-version:)[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*/gim) ?? [];
}

/** Some servers say NIL of a part that is not there, some an empty string: as this one does. */
function absent(value: ResponseItem['value']): Value[] {
  return value.kind === 'text' && isNil(value.octets) ? [value.octets] : literal(EMPTY);
}

/** The piece of it that was asked for. */
function asked(
  octets: Value,
  item: Divisible,
  value: ResponseItem['value'],
  command: FetchCommand | null,
): Value {
  const { partial } = item;
  if (partial === null) return octets;
  const answered = value.kind === 'literal' ? value.size : lengthOf(octets);
  return pieceOf(octets, partial, partial.count ?? askedCount(command, item) ?? answered);
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
const NIL = Buffer.from('NIL');
const nothing = (): void => undefined;

/** RFC 8970 §3.2: UTF-8, which has to be in a literal. */
function preview(text: string): Buffer {
  const octets = Buffer.from(text, 'utf8');
  return Buffer.concat([Buffer.from(`{${octets.length}}\r\n`), octets]);
}

function literal(value: Value): Value[] {
  return [Buffer.from(`{${lengthOf(value)}}\r\n`), value];
}
