import { lookForMarks } from '../append/look-for-marks.ts';
import { lookForForeign } from '../foreign/look-for-foreign.ts';
import { Pending } from '../pending.ts';
import { answerSearch } from '../search/answer-search.ts';
import { asksForWords, needsMerging } from '../search/merged-search.ts';
import { readSearchProgram } from '../search/search-program.ts';
import { type TakenCommand, takeCommand } from '../search/taken-command.ts';
import { SearchRefused } from '../search/upstream-mailbox.ts';
import { sendWritten } from '../written-command.ts';
import type { CommandContext, CommandHandler } from './command-context.ts';
import { pass } from './pass.ts';

/**
 * SEARCH, SORT and THREAD, by UID or not: the octets go on, unless what a reader is shown may have another result than what the
 * mail server holds. Then the gateway asks, in its own words, while no command of the client is on its way.
 */
export const search: CommandHandler = async (context, event, start) => {
  const { exchange } = context;
  const command = await takeCommand(context, event, start);
  if (command === null) return 'goes-on';
  const { name, byUid } = named(start.name);
  const program = readSearchProgram(name, command.pieces);
  const { views } = exchange.parts;
  const asks = program === null ? 'none' : asksForWords(program, views.names);
  if (asks !== 'none') await views.lookAtWords(asks);
  if (program === null || !needsMerging(program, views.names, () => views.opened())) {
    if (event.literal === null) return pass(context, event, start);
    await passOn(context, start.tag, command);
    return 'goes-on';
  }
  // What is opened to be searched is opened as what it is.
  const namesUids = byUid && !program.byNumber;
  await lookForMarks(context, namesUids);
  await lookForForeign(context, start.tag, namesUids);
  await exchange.quiet();
  try {
    const untagged = await answerSearch(context, start.tag, program, byUid);
    await exchange.say(`${untagged}${start.tag} OK Search completed.\r\n`);
  } catch (error) {
    if (!(error instanceof SearchRefused)) throw error;
    if (error.reply?.status !== 'lost') await exchange.say(refusal(start.tag, error));
  }
  return 'goes-on';
};

/** What the mail server said to the gateway's words, under the client's tag. */
function refusal(tag: string, { reply }: SearchRefused): string {
  if (reply === null)
    return `${tag} NO [SERVERBUG] The mail server has not answered this search as IMAP has it. Search again, or for less.\r\n`;
  return reply.line.toString('latin1').replace(/^[^ ]+/, () => tag);
}

function named(name: string): { name: 'SEARCH' | 'SORT' | 'THREAD'; byUid: boolean } {
  const byUid = name.startsWith('UID ');
  const bare = byUid ? name.slice('UID '.length) : name;
  return { name: bare === 'SORT' || bare === 'THREAD' ? bare : 'SEARCH', byUid };
}

async function passOn({ exchange }: CommandContext, tag: string, { written }: TakenCommand): Promise<void> {
  const pending = new Pending(tag, 'client', null, false);
  exchange.add(pending);
  await sendWritten(exchange, pending, written);
}
