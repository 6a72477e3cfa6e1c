import { readArguments } from '../client-command.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';

/** SELECT, EXAMINE, CLOSE, UNSELECT: message numbers mean something else behind them. */
export const select: CommandHandler = async ({ alone, exchange }, event, { tag, name, argument }) => {
  const pending = new Pending(tag, 'select', null, false);
  // In a literal it is read as it goes by.
  if (event.literal === null && (name === 'SELECT' || name === 'EXAMINE')) {
    const [mailbox] = readArguments([{ kind: 'text', text: argument }]) ?? [];
    if (mailbox?.kind === 'string') pending.mailbox = mailbox.octets.toString('latin1');
  }
  const { refreshing, foreign } = exchange.parts;
  refreshing?.selected(false);
  await alone(event, pending);
  foreign?.selected();
  // RFC 9051 §6.3.2: [READ-ONLY] where nothing in it may be changed.
  if (refreshing !== null && name === 'SELECT' && pending.settled) {
    const { status, line } = await pending.done;
    refreshing.selected(status === 'OK' && !/^[^ ]+ OK \[READ-ONLY\]/i.test(line.toString('latin1', 0, 300)));
  }
  return 'goes-on';
};
