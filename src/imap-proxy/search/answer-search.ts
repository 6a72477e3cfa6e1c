import { limits } from '../../limits.ts';
import type { CommandContext } from '../commands/command-context.ts';
import type { Written } from '../written-command.ts';
import { mergedSearch } from './merged-search.ts';
import { NumberSet } from './number-set.ts';
import { openUndecided } from './open-undecided.ts';
import { type Found, savedOf, writeAnswer } from './return-options.ts';
import { writeKey } from './search-key.ts';
import type { SearchProgram } from './search-program.ts';
import { readNumbers } from './search-response.ts';
import { UpstreamMailbox } from './upstream-mailbox.ts';

/**
 * Does a search of which some messages are shown otherwise than they are stored; nothing of the client's may be on its way.
 *
 * @returns the untagged answer for the client; '' for none
 * @throws SearchRefused
 */
export async function answerSearch(
  context: CommandContext,
  tag: string,
  program: SearchProgram,
  byUid: boolean,
): Promise<string> {
  const { exchange, upstreamSide } = context;
  const { views, search } = exchange.parts;
  const mailbox = (numbersByUid: boolean): UpstreamMailbox =>
    new UpstreamMailbox(exchange, upstreamSide, numbersByUid, charsetOf(program));
  // During UID SEARCH numbers may change (RFC 9051 §7.5.1): where the client has said some, it is not used.
  const numbersByUid = byUid && !program.byNumber;
  const searched = mailbox(numbersByUid);
  const request = {
    ...{ program, byUid: numbersByUid, opened: views.opened(), names: views.names },
    kept: (protectedHeader: boolean) => views.wordsBefore(protectedHeader),
  };
  if (search.kind === 'all') await openUndecided(context, tag, request, searched, search);
  let found = await mergedSearch({ ...request, opened: views.opened() }, searched);
  if (byUid && !numbersByUid) found = { ...found, numbers: await uidsOf(found.numbers, searched) };
  const answered = mailbox(byUid);
  switch (program.command.kind) {
    case 'search':
      if (program.returns?.save === true)
        await save(savedOf(found.numbers, program.returns), byUid, answered);
      return writeAnswer(found, program.returns, { tag, byUid }) ?? '';
    case 'sort':
      return sorted(found, program.command.how, byUid, answered);
    case 'thread':
      return threaded(found.numbers, program.command.how, byUid, answered);
  }
}

/** What stands before the criteria in a SEARCH of the gateway's own. */
function charsetOf({ command, charset, key }: SearchProgram): Written {
  if (charset === null) return [];
  // SORT and THREAD name one always; SEARCH must not where UTF8=ACCEPT is on (RFC 6855 §3).
  const isAscii = writeKey(key).every((each) => !/[\x80-\xff]/.test(each.toString('latin1')));
  const isUsual = /^(?:us-ascii|utf-8)$/i.test(charset.octets.toString('latin1'));
  if (command.kind !== 'search' && isAscii && isUsual) return [];
  return ['CHARSET ', ...charset.written, ' '];
}

async function uidsOf(numbers: NumberSet, mailbox: UpstreamMailbox): Promise<NumberSet> {
  const uids: number[] = [];
  await mailbox.classify(numbers, ({ uid }) => uids.push(uid));
  return NumberSet.of(uids);
}

/** Makes `$` stand for these messages (RFC 5182 §2.1): piece by piece where they are many. */
async function save(numbers: NumberSet, byUid: boolean, mailbox: UpstreamMailbox): Promise<void> {
  const command = `${byUid ? 'UID ' : ''}SEARCH RETURN (SAVE)`;
  const [first, ...more] = numbers.pieces(limits.imap.searchLineOctets - 100);
  await mailbox.ask([`${command} ${first === undefined ? 'NOT ALL' : keyOf(first, byUid)}`], SEARCH_ANSWERS);
  for (const piece of more) {
    await mailbox.ask([`${command} OR ${byUid ? 'UID $' : '$'} ${keyOf(piece, byUid)}`], SEARCH_ANSWERS);
  }
}

const SEARCH_ANSWERS: ReadonlySet<string> = new Set(['SEARCH', 'ESEARCH']);

/** The server's order of all messages is its order of some. */
async function sorted(
  { numbers, modSeq }: Found,
  how: string,
  byUid: boolean,
  mailbox: UpstreamMailbox,
): Promise<string> {
  let list = '';
  if (!numbers.isEmpty) {
    const answers = await mailbox.ask(
      [`${byUid ? 'UID ' : ''}SORT ${how} UTF-8 ${shortKey(numbers, byUid)}`],
      SORT_ANSWERS,
    );
    for (const octets of answers) {
      const text = octets.toString('latin1', '* SORT'.length, octets.length - 2);
      const kept = (readNumbers(text.replace(/ ?\(MODSEQ [0-9]+\)$/i, '')) ?? []).filter((each) =>
        numbers.has(each),
      );
      list += kept.map((each) => ` ${each}`).join('');
    }
  }
  return `* SORT${list}${modSeq === null || list === '' ? '' : ` (MODSEQ ${modSeq})`}\r\n`;
}

const SORT_ANSWERS: ReadonlySet<string> = new Set(['SORT']);

/** A thread is made of what was found, so the server has to be told all of it. */
async function threaded(
  numbers: NumberSet,
  how: string,
  byUid: boolean,
  mailbox: UpstreamMailbox,
): Promise<string> {
  if (numbers.isEmpty) return '* THREAD\r\n';
  const command = `${byUid ? 'UID ' : ''}THREAD ${how} UTF-8 ${keyOf(numbers, byUid)}`;
  return Buffer.concat(await mailbox.ask([command], THREAD_ANSWERS)).toString('latin1');
}

const THREAD_ANSWERS: ReadonlySet<string> = new Set(['THREAD']);

function shortKey(numbers: NumberSet, byUid: boolean): string {
  const key = keyOf(numbers, byUid);
  return key.length <= limits.imap.searchLineOctets - 200 ? key : 'ALL';
}

function keyOf(numbers: NumberSet, byUid: boolean): string {
  return byUid ? `UID ${numbers}` : numbers.toString();
}
