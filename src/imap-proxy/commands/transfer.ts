import { readArguments } from '../client-command.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';
import { COMMAND_LIMIT } from './pass.ts';

/**
 * COPY and MOVE: octets unchanged. Where messages that lie encrypted at rest may be among them, they will be expected where they go,
 * whatever the rules say of that mailbox. What was said of the messages is said of their copies (UpstreamSide).
 */
export const transfer: CommandHandler = async (context, event, start) => {
  const { storing, views } = context.exchange.parts;
  const pending = new Pending(start.tag, 'client', null, false);
  pending.copies = true;
  // In a literal it is read as it goes by.
  if (event.literal === null) {
    const [, mailbox] = readArguments([{ kind: 'text', text: start.argument }]) ?? [];
    if (mailbox?.kind === 'string') {
      pending.mailbox = mailbox.octets.toString('latin1');
      if (storing !== null && views.atRest?.isEmpty === false) await storing.expect(mailbox.octets);
    }
  }
  await context.forward(event, pending, COMMAND_LIMIT);
  return 'goes-on';
};
