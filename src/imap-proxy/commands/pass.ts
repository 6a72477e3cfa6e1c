import { limits } from '../../limits.ts';
import { storeKeywords } from '../keywords/store-keywords.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler, CommandLimit } from './command-context.ts';

export const COMMAND_LIMIT: CommandLimit = {
  octets: limits.imap.commandOctets,
  tooLarge: '[LIMIT] Too large',
};

/** Octets unchanged, and so is the answer. */
export const pass: CommandHandler = async ({ forward }, event, { tag }) => {
  await forward(event, new Pending(tag, 'client', null, false), COMMAND_LIMIT);
  return 'goes-on';
};

/** The last command of a session. */
export const logout: CommandHandler = async (context, event, { tag }) => {
  await storeKeywords(context, 'silent');
  await context.alone(event, new Pending(tag, 'client', null, false));
  return 'logged-out';
};
