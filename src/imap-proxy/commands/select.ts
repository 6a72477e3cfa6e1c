import { readArguments } from '../client-command.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';

/** SELECT, EXAMINE, CLOSE, UNSELECT: message numbers mean something else behind them. */
export const select: CommandHandler = async ({ alone }, event, { tag, name, argument }) => {
  const pending = new Pending(tag, 'select', null, false);
  if (event.literal === null && (name === 'SELECT' || name === 'EXAMINE')) {
    const [mailbox] = readArguments([{ kind: 'text', text: argument }]) ?? [];
    if (mailbox?.kind === 'string') pending.mailbox = mailboxName(mailbox.octets);
  }
  await alone(event, pending);
  return 'goes-on';
};

/** RFC 9051 §5.1: INBOX is the same in any case. */
function mailboxName(octets: Buffer): string {
  const name = octets.toString('latin1');
  return name.toUpperCase() === 'INBOX' ? 'INBOX' : name;
}
