import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';

/** SELECT, EXAMINE, CLOSE, UNSELECT: message numbers mean something else behind them. */
export const select: CommandHandler = async ({ alone }, event, { tag }) => {
  await alone(event, new Pending(tag, 'select', null, false));
  return 'goes-on';
};
