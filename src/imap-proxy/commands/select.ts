import { readArguments } from '../client-command.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';

/** SELECT, EXAMINE, CLOSE, UNSELECT: message numbers mean something else behind them. */
export const select: CommandHandler = async ({ alone }, event, { tag, name, argument }) => {
  const pending = new Pending(tag, 'select', null, false);
  // In a literal it is read as it goes by.
  if (event.literal === null && (name === 'SELECT' || name === 'EXAMINE')) {
    const [mailbox] = readArguments([{ kind: 'text', text: argument }]) ?? [];
    if (mailbox?.kind === 'string') pending.mailbox = mailbox.octets.toString('latin1');
  }
  await alone(event, pending);
  return 'goes-on';
};
