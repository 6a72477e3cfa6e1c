import { readArguments } from '../client-command.ts';
import { selectTold } from '../epoch/select-told.ts';
import { storeKeywords } from '../keywords/store-keywords.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';

/** SELECT, EXAMINE, CLOSE, UNSELECT: message numbers mean something else behind them. */
export const select: CommandHandler = async (context, event, start) => {
  const { alone, exchange } = context;
  const { tag, name, argument } = start;
  const { told } = exchange.parts;
  const pending = new Pending(tag, 'select', null, false);
  // In a literal it is read as it goes by.
  if (told === null && event.literal === null && (name === 'SELECT' || name === 'EXAMINE')) {
    const [mailbox] = readArguments([{ kind: 'text', text: argument }]) ?? [];
    if (mailbox?.kind === 'string') pending.mailbox = mailbox.octets.toString('latin1');
  }
  const { refreshing, foreign, views } = exchange.parts;
  const { keywords } = views;
  refreshing?.selected(false);
  await storeKeywords(context, 'silent');
  if (told !== null && (name === 'SELECT' || name === 'EXAMINE')) {
    await selectTold(context, told, event, start, pending);
  } else {
    await alone(event, pending);
    told?.select(null, null);
  }
  foreign?.selected();
  // RFC 9051 §6.3.2: [READ-ONLY] where nothing in it may be changed.
  if ((refreshing !== null || keywords !== null) && name === 'SELECT' && pending.settled) {
    const { status, line } = await pending.done;
    const writable = status === 'OK' && !/^[^ ]+ OK \[READ-ONLY\]/i.test(line.toString('latin1', 0, 300));
    refreshing?.selected(writable);
    keywords?.selected(writable);
  }
  return 'goes-on';
};
