import { lookForMarks } from '../append/look-for-marks.ts';
import { readArguments } from '../client-command.ts';
import { Pending } from '../pending.ts';
import { takeCommand } from '../search/taken-command.ts';
import { sendWritten } from '../written-command.ts';
import type { CommandHandler } from './command-context.ts';

/**
 * COPY and MOVE: octets unchanged. Where messages that lie encrypted at rest may be among them, they will be expected where they go,
 * whatever the rules say of that mailbox. What was said of the messages is said of their copies (UpstreamSide).
 */
export const transfer: CommandHandler = async (context, event, start) => {
  const { exchange } = context;
  const { storing, views } = exchange.parts;
  const command = await takeCommand(context, event, start);
  if (command === null) return 'goes-on';
  const pending = new Pending(start.tag, 'client', null, false);
  pending.copies = true;
  const [, mailbox] = readArguments(command.pieces) ?? [];
  if (mailbox?.kind === 'string') {
    pending.mailbox = mailbox.octets.toString('latin1');
    if (storing !== null) {
      // A client that has listed nothing copies what nobody has looked at.
      await lookForMarks(context, start.name.startsWith('UID '));
      if (views.atRest?.isEmpty === false) await storing.expect(mailbox.octets);
    }
  }
  exchange.add(pending);
  await sendWritten(exchange, pending, command.written);
  return 'goes-on';
};
