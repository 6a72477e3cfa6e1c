import { SealgateError } from '../errors.ts';
import { newSessionId, type SessionId } from '../ids.ts';
import type { Event } from '../log/events.ts';
import type { Log } from '../log/log.ts';

/** What mail is read by. */
export type ReadingProtocol = 'imap' | 'pop3';

/** Who has broken the protocol, or could not be reached. */
export type Side = Extract<Event, { event: `${ReadingProtocol}.protocol-error` }>['side'];

/**
 * Serves one session to its end: the log says who came, why it ended, and what was wrong with it. Never throws.
 *
 * @param listener.name as it is configured
 * @param remote the client's address
 * @param converse the session itself; gives why it ended
 * @param sideOf whose error it is that `converse` throws
 */
export async function serveLogged(
  protocol: ReadingProtocol,
  { log, name }: { log: Log; name: string },
  remote: string,
  converse: (session: SessionId) => Promise<string>,
  sideOf: (error: SealgateError) => Side,
): Promise<void> {
  const session = newSessionId();
  log.write({ event: `${protocol}.connected`, level: 'debug', session, remote, listener: name });
  let cause: string;
  try {
    cause = await converse(session);
  } catch (error) {
    if (error instanceof SealgateError) {
      const reason = error.reason ?? error.code;
      log.write({ event: `${protocol}.protocol-error`, level: 'warn', session, side: sideOf(error), reason });
      cause = error.code;
    } else {
      const where = `${protocol}-proxy.listener`;
      log.write({ event: 'gateway.defect', level: 'error', where, error: String(error) });
      cause = 'defect';
    }
  }
  log.write({ event: `${protocol}.closed`, level: 'debug', session, cause });
}
