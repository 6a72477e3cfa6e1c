import { limits } from '../../limits.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler, CommandLimit } from './command-context.ts';

const APPEND_LIMIT: CommandLimit = { octets: limits.messageOctets + 65_536, tooLarge: '[TOOBIG] Too large' };

/** The message goes on as the client has it. */
export const append: CommandHandler = async ({ forward }, event, { tag }) => {
  await forward(event, new Pending(tag, 'client', null, false), APPEND_LIMIT);
  return 'goes-on';
};
