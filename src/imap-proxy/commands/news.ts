import { storeKeywords } from '../keywords/store-keywords.ts';
import { refreshMailbox } from '../refresh/refresh-mailbox.ts';
import type { CommandHandler } from './command-context.ts';
import { pass } from './pass.ts';

/** NOOP and CHECK: a client that asks for news gets those of what a new key opens, too. */
export const news: CommandHandler = async (context, event, start) => {
  if (event.literal === null) {
    await refreshMailbox(context);
    await storeKeywords(context);
  }
  return pass(context, event, start);
};
