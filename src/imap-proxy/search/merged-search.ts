import { limits } from '../../limits.ts';
import type { ViewNames } from '../../mail-view/view-names.ts';
import type { SearchText } from '../../reading/search-text.ts';
import { alike } from './alike.ts';
import { NumberSet } from './number-set.ts';
import type { Found } from './return-options.ts';
import {
  ALL,
  allOf,
  NONE,
  rewritten,
  type SearchKey,
  shownLeaves,
  textLength,
  writeKey,
} from './search-key.ts';
import type { SearchProgram } from './search-program.ts';
import { type WordsReader, wordsReader } from './search-words.ts';
import { type Differs, differs, unopened } from './shown-leaf.ts';

/**
 * The result of a search in a mailbox in which some messages are shown otherwise than they are stored.
 *
 * The mail server answers for what is shown as stored (R), and for everything else about views. For the views, the criteria
 * that their content decides are decided here or put in other words that the server knows: those that were opened are asked for by
 * UID with what is left of the search, all in which the same words are at once; of those that were not, what listings say of them
 * counts (U). Whether a message is a view has then to be known only where R and U disagree, so that an ordinary search asks what
 * some messages are, and not what the whole mailbox is:
 *
 *   (R without opened ones and views among R xor U) + (U and views among R xor U) + hits among opened ones
 *
 * Numbers are UIDs or message numbers throughout; whoever asks has to see that they do not change meanwhile.
 */
export interface SearchedMailbox {
  /** What the mail server finds. */
  search(key: SearchKey): Promise<Found>;
  /** Those of these messages that are shown as views. */
  viewsAmong(numbers: NumberSet): Promise<NumberSet>;
  /** Whether all of them are known, without asking, to be shown as they are stored. */
  areAsStored(numbers: NumberSet): boolean;
}

/** A message that was opened, by its UID. */
export type OpenedMessage = {
  /** null: it has to be asked for. */
  text: SearchText | null;
  /** Whether header fields are shown that are not those stored. */
  protectedHeader: boolean;
};

export type MergeRequest = {
  program: SearchProgram;
  /** Whether numbers are UIDs. */
  byUid: boolean;
  opened: ReadonlyMap<number, OpenedMessage>;
  /** The texts that are not among those, by UID; what has gone meanwhile is left out. Absent: there are none. */
  kept?(protectedHeader: boolean): AsyncIterable<[uid: number, text: SearchText]>;
  names: ViewNames;
};

/** Which opened messages a search may find for their words: all, those with header fields of their own, or none. */
export function asksForWords(program: SearchProgram, names: ViewNames): 'all' | 'protected' | 'none' {
  const found = new Set(shownLeaves(program.key).map(({ test }) => differs(test, names)));
  if (found.has('view') || found.has('ours')) return 'all';
  return found.has('protected') ? 'protected' : 'none';
}

/** Whether a search may have another result for what is shown than for what is stored. `opened`: asked only where it matters. */
export function needsMerging(
  program: SearchProgram,
  names: ViewNames,
  opened: () => MergeRequest['opened'],
): boolean {
  const asks = asksForWords(program, names);
  if (asks !== 'protected') return asks === 'all';
  return [...opened().values()].some(({ protectedHeader }) => protectedHeader);
}

/** Rejects with whatever the mailbox rejects with. */
export async function mergedSearch(request: MergeRequest, mailbox: SearchedMailbox): Promise<Found> {
  const { program, names } = request;
  const read = wordsReader(program.charset?.octets.toString('latin1') ?? null);
  const stored = rewritten(program.key, (leaf) => (differs(leaf.test, names) === 'ours' ? NONE : leaf));
  const listed = rewritten(program.key, (leaf) => unopened(leaf, names, read));
  const r = await asked(mailbox, stored);
  // Of views nothing more is listed then than the server finds among what it holds, and there is none.
  const isEnough =
    isSame(stored, listed) || (listsLess(program.key, names) && mailbox.areAsStored(r.numbers));
  const u = isEnough ? r : await asked(mailbox, listed);
  const { hits, members } = await amongOpened(request, read, mailbox);
  const unclear = r.numbers.xor(u.numbers).minus(members);
  const views = unclear.isEmpty ? NumberSet.empty : await mailbox.viewsAmong(unclear);
  const others = r.numbers.minus(members).minus(views).or(u.numbers.and(views));
  const all = [r, u, ...hits];
  return {
    numbers: hits.reduce((sum, { numbers }) => sum.or(numbers), others),
    modSeq: all.map(({ modSeq }) => modSeq).reduce((a, b) => (a === null || (b !== null && b > a) ? b : a)),
  };
}

/**
 * Messages that were not opened and that a search would find, or not find, for what is in them: all that it could find at best
 * without those that it finds anyway.
 */
export async function undecided(request: MergeRequest, mailbox: SearchedMailbox): Promise<NumberSet> {
  const { program, names } = request;
  const read = wordsReader(program.charset?.octets.toString('latin1') ?? null);
  const bound = (upper: boolean): SearchKey =>
    rewritten(program.key, (leaf, negated) => {
      if (differs(leaf.test, names) !== 'view' || upper === negated) return unopened(leaf, names, read);
      return leaf.test.on === 'header' ? unopened(leaf, names, read) : ALL;
    });
  const best = await asked(mailbox, bound(true));
  const anyway = await asked(mailbox, bound(false));
  return best.numbers.minus(anyway.numbers);
}

/** What is found of those that were opened, and all of them as numbers. */
async function amongOpened(
  { program, byUid, opened, kept, names }: MergeRequest,
  read: WordsReader,
  mailbox: SearchedMailbox,
): Promise<{ hits: Found[]; members: NumberSet }> {
  const hits: Found[] = [];
  let members = NumberSet.empty;
  const room = lineRoom(program.key);
  const leaves = shownLeaves(program.key);
  for (const { uids: all, isProtected, isOurs } of groupsOf(opened, program.key, names)) {
    const ours = leaves.filter(({ test }) => isOurs(differs(test, names)));
    const texts = textsOf(all, { opened, kept: kept?.(isProtected) ?? [] });
    let uids = NumberSet.empty;
    for await (const { uids: same, key } of alike(program.key, ours, texts, read)) {
      // What has gone meanwhile counts as not opened.
      uids = uids.or(same);
      for (const piece of same.pieces(room)) {
        hits.push(await asked(mailbox, allOf([{ kind: 'uids', uids: piece }, key])));
      }
    }
    for (const piece of uids.pieces(room)) {
      members = members.or(byUid ? piece : (await asked(mailbox, { kind: 'uids', uids: piece })).numbers);
    }
  }
  return { hits, members };
}

type Texts = { opened: MergeRequest['opened']; kept: AsyncIterable<[number, SearchText]> | [] };

async function* textsOf(uids: NumberSet, { opened, kept }: Texts): AsyncGenerator<[number, SearchText]> {
  let left = 0;
  for (const uid of uids) {
    const text = opened.get(uid)?.text ?? null;
    if (text === null) left++;
    else yield [uid, text];
  }
  if (left === 0) return;
  for await (const [uid, text] of kept) if (opened.get(uid)?.text === null) yield [uid, text];
}

/** Whether a search finds no more messages by what is listed of them than by what is stored. */
function listsLess(key: SearchKey, names: ViewNames): boolean {
  let less = true;
  rewritten(key, (leaf, negated) => {
    if (differs(leaf.test, names) === 'view' && (negated || leaf.test.on === 'header')) less = false;
    return leaf;
  });
  return less;
}

type Group = {
  uids: NumberSet;
  isProtected: boolean;
  /** Whether a criterion of that class is decided by the texts of these messages. */
  isOurs(differs: Differs): boolean;
};

/** Opened messages by what is known of them better than the mail server does; none where it asks for nothing of that. */
function groupsOf(opened: MergeRequest['opened'], key: SearchKey, names: ViewNames): Group[] {
  const leaves = new Set(shownLeaves(key).map(({ test }) => differs(test, names)));
  const uids = (isProtected: boolean): NumberSet =>
    NumberSet.of([...opened].filter(([, each]) => each.protectedHeader === isProtected).map(([uid]) => uid));
  const groups: Group[] = [
    { uids: uids(false), isProtected: false, isOurs: (each) => each === 'view' || each === 'ours' },
    { uids: uids(true), isProtected: true, isOurs: (each) => each !== 'never' },
  ];
  return groups.filter(({ uids: all, isOurs }) => !all.isEmpty && [...leaves].some(isOurs));
}

/** Asks the mail server, unless nothing can be found. */
async function asked(mailbox: SearchedMailbox, key: SearchKey): Promise<Found> {
  return key.kind === 'none' ? NOTHING : mailbox.search(key);
}

const NOTHING: Found = { numbers: NumberSet.empty, modSeq: null };

function isSame(one: SearchKey, other: SearchKey): boolean {
  const [a, b] = [writeKey(one), writeKey(other)];
  return (
    a.length === b.length &&
    a.every((each, index) => each.toString('latin1') === b[index]?.toString('latin1'))
  );
}

/** Octets for sets of numbers on a line that has the client's own words, too. */
function lineRoom(key: SearchKey): number {
  return Math.max(limits.imap.searchLineOctets - textLength(writeKey(key)) - 200, 1_000);
}
