import type { Operation } from '../operation.ts';
import type { SessionPipe } from './session-pipe.ts';
import type { WaitingRequests } from './waiting-requests.ts';

/** Which session of a key process takes which request. */

/** One of the first `ready` that takes a request at once, the least loaded; null: none. */
export function freeSession(sessions: readonly SessionPipe[], ready: number): SessionPipe | null {
  let free: SessionPipe | null = null;
  for (let number = 0; number < ready; number++) {
    const session = sessions[number];
    if (session?.inside === 0) return session;
    if (session?.hasRoom === true) free ??= session;
  }
  return free;
}

/** Hands over what waits, two requests to a session at most. */
export function handOut(waiting: WaitingRequests, sessions: readonly SessionPipe[]): void {
  // Somebody gets two: in one write.
  const isMany = waiting.count > sessions.length;
  if (isMany) for (const session of sessions) session.cork();
  for (const session of byLoad(sessions)) if (!sendNext(waiting, session)) break;
  if (isMany) for (const session of sessions) session.uncork();
}

/** What cannot be sent takes no room from the next. false: nothing waits any more. */
function sendNext(waiting: WaitingRequests, session: SessionPipe): boolean {
  for (let request = waiting.next(); request !== null; request = waiting.next()) {
    const before = session.inside;
    session.send(request);
    if (session.inside > before) return true;
  }
  return false;
}

/** Its time to wait for a turn does not run: its turn is now. */
export function sentAtOnce(session: SessionPipe, operation: Operation): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  session.send({ operation, resolve, reject });
  return promise;
}

/** Idle sessions first, then those that do one thing, as often as each may take a request. */
function byLoad<T extends { inside: number; hasRoom: boolean }>(sessions: readonly T[]): T[] {
  const idle = sessions.filter(({ inside }) => inside === 0);
  return [...idle, ...sessions.filter(({ inside, hasRoom }) => inside > 0 && hasRoom), ...idle];
}
