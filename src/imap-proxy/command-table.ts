import { append, replace } from './commands/append.ts';
import type { QuickHandler } from './commands/command-context.ts';
import { compress } from './commands/compress.ts';
import { enable } from './commands/enable.ts';
import { fetch } from './commands/fetch.ts';
import { id } from './commands/id.ts';
import { idle } from './commands/idle.ts';
import { remove, rename } from './commands/mailbox-names.ts';
import { news } from './commands/news.ts';
import { logout, pass } from './commands/pass.ts';
import { search } from './commands/search.ts';
import { select } from './commands/select.ts';
import { transfer } from './commands/transfer.ts';

/**
 * Who works on a client's command after login. Whatever is not in the table is refused and never sent on: what the gateway does
 * not know it cannot follow.
 */
const TABLE: ReadonlyMap<string, QuickHandler> = new Map<string, QuickHandler>([
  ...named(
    pass,
    'CAPABILITY CREATE SUBSCRIBE UNSUBSCRIBE LIST LSUB XLIST NAMESPACE STATUS',
    'GETACL SETACL DELETEACL LISTRIGHTS MYRIGHTS GETQUOTA GETQUOTAROOT SETQUOTA GETMETADATA SETMETADATA',
  ),
  ...numbered(pass, 'STORE EXPUNGE'),
  ...numbered(transfer, 'COPY MOVE'),
  ...numbered(search, 'SEARCH SORT THREAD'),
  ...numbered(fetch, 'FETCH'),
  ...named(news, 'NOOP CHECK'),
  ...named(append, 'APPEND'),
  ...numbered(replace, 'REPLACE'),
  ...named(rename, 'RENAME'),
  ...named(remove, 'DELETE'),
  ...named(select, 'SELECT EXAMINE CLOSE UNSELECT'),
  ...named(id, 'ID'),
  ...named(idle, 'IDLE'),
  ...named(enable, 'ENABLE'),
  ...named(compress, 'COMPRESS'),
  ...named(logout, 'LOGOUT'),
]);

function named(handler: QuickHandler, ...lists: string[]): [string, QuickHandler][] {
  return lists.flatMap((list) => list.split(' ').map((name): [string, QuickHandler] => [name, handler]));
}

/** Commands about messages, by number and by UID. */
function numbered(handler: QuickHandler, list: string): [string, QuickHandler][] {
  return list.split(' ').flatMap((name): [string, QuickHandler][] => [
    [name, handler],
    [`UID ${name}`, handler],
  ]);
}

/** null: refused with `BAD`. */
export function commandHandler(name: string): QuickHandler | null {
  return TABLE.get(name) ?? null;
}
