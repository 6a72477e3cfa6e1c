/**
 * What is done with a client's command after login.
 *
 * `pass`: its octets go on; `fetch`: so do they, but its responses may have to be worked on; `barrier`: nothing behind
 * it goes on before its tagged response. Whatever is not in the table is refused and never sent on: what the gateway
 * does not know it cannot follow.
 */
export type CommandKind = 'pass' | 'barrier' | 'select' | 'fetch' | 'append' | 'idle' | 'enable' | 'logout';

const TABLE: ReadonlyMap<string, CommandKind> = new Map<string, CommandKind>([
  ...names(
    'pass',
    'CAPABILITY NOOP CHECK ID CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE LIST LSUB XLIST NAMESPACE STATUS',
    'GETACL SETACL DELETEACL LISTRIGHTS MYRIGHTS GETQUOTA GETQUOTAROOT SETQUOTA GETMETADATA SETMETADATA',
    'STORE EXPUNGE COPY MOVE SEARCH SORT THREAD',
  ),
  ...['STORE', 'EXPUNGE', 'COPY', 'MOVE', 'SEARCH', 'SORT', 'THREAD'].map((name): [string, CommandKind] => [
    `UID ${name}`,
    'pass',
  ]),
  ['FETCH', 'fetch'],
  ['UID FETCH', 'fetch'],
  ['APPEND', 'append'],
  ['SELECT', 'select'],
  ['EXAMINE', 'select'],
  ['CLOSE', 'select'],
  ['UNSELECT', 'select'],
  ['IDLE', 'idle'],
  ['ENABLE', 'enable'],
  ['LOGOUT', 'logout'],
]);

function names(kind: CommandKind, ...lists: string[]): [string, CommandKind][] {
  return lists.flatMap((list) => list.split(' ').map((name): [string, CommandKind] => [name, kind]));
}

/** null: refused with `BAD`. */
export function commandKind(name: string): CommandKind | null {
  return TABLE.get(name) ?? null;
}

/** Extensions a client may switch on (RFC 5161); everything else changes what the gateway would have to follow. */
const ENABLED: ReadonlySet<string> = new Set(['CONDSTORE', 'QRESYNC', 'UTF8=ACCEPT']);

/** The arguments of ENABLE that may go on, upper case. */
export function enableArguments(argument: string): string[] {
  return argument
    .split(' ')
    .map((each) => each.toUpperCase())
    .filter((each) => ENABLED.has(each));
}
