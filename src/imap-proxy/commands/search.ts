import type { CommandHandler } from './command-context.ts';
import { pass } from './pass.ts';

/** SEARCH, SORT and THREAD look at what the server holds. */
export const search: CommandHandler = pass;
