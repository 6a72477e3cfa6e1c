import { readArguments } from '../client-command.ts';
import type { CommandHandler } from './command-context.ts';
import { pass } from './pass.ts';

/**
 * COPY and MOVE: octets unchanged. Where messages that lie encrypted at rest may be among them, they will be expected where they go,
 * whatever the rules say of that mailbox.
 */
export const transfer: CommandHandler = async (context, event, start) => {
  const { storing, views } = context.exchange.parts;
  if (storing !== null && views.atRest?.isEmpty === false && event.literal === null) {
    const [, mailbox] = readArguments([{ kind: 'text', text: start.argument }]) ?? [];
    if (mailbox?.kind === 'string') await storing.expect(mailbox.octets);
  }
  return pass(context, event, start);
};
