import { limits } from '../limits.ts';
import { isCompleted } from '../smtp/reply.ts';
import { statedLimits } from '../smtp/transaction-limits.ts';
import type { SmtpClient } from './client.ts';

/** A connection that mails have gone by. */
export type UsedConnection = {
  client: SmtpClient;
  /** Whether they were accepted or not. */
  mails: number;
  /** When it was made, as `performance.now` has it. */
  since: number;
};

type Idle<C> = { connection: C; timer: NodeJS.Timeout };

/** A connection that nobody used for a while may be gone, and its end not have been heard. */
export const STILL_THERE_MS = 10_000;

export type IdleConnectionsOptions = {
  /** Connections that wait at most; default: limits.smtp.idleConnections. */
  most?: number;
  /** How long one waits; default: limits.smtp.idleMs. */
  idleMs?: number;
  now?: () => number;
};

/**
 * Connections to one place, by one identity, that wait for their next mail.
 *
 * Holds: one that is given out has just said that it is there and that no transaction is open (RSET). Must never happen: one is given out
 * twice, or with a reply still to come.
 */
export class IdleConnections<C extends UsedConnection = UsedConnection> {
  readonly #most: number;
  readonly #idleMs: number;
  readonly #now: () => number;
  readonly #idle: Idle<C>[] = [];
  /** That are being asked whether they are still there. */
  readonly #asked = new Set<SmtpClient>();
  #closed = false;

  constructor({
    most = limits.smtp.idleConnections,
    idleMs = limits.smtp.idleMs,
    now = () => performance.now(),
  }: IdleConnectionsOptions = {}) {
    this.#most = most;
    this.#idleMs = idleMs;
    this.#now = now;
  }

  get size(): number {
    return this.#idle.length;
  }

  fresh(client: SmtpClient): UsedConnection {
    return { client, mails: 0, since: this.#now() };
  }

  /** The one that was used last; null: none is left. */
  async take(): Promise<C | null> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      clearTimeout(idle.timer);
      const { client } = idle.connection;
      this.#asked.add(client);
      const answer = await client.command('RSET', STILL_THERE_MS);
      this.#asked.delete(client);
      if (answer.kind === 'reply' && isCompleted(answer.reply) && client.lost === null)
        return idle.connection;
      client.abandon();
    }
    return null;
  }

  /** For the next one, or it is ended: it has served long enough, is not at rest, or there are enough. */
  put(connection: C): void {
    const { client, mails, since } = connection;
    if (client.lost !== null) return;
    // RFC 9422 §4.1: after so many the server takes no more on this connection.
    const most = statedLimits(client.extensions).get('MAILMAX') ?? limits.smtp.mailsOfConnection;
    const isWorn =
      mails >= Math.min(most, limits.smtp.mailsOfConnection) ||
      this.#now() - since >= limits.smtp.connectionAgeMs;
    if (this.#closed || isWorn || !client.atRest || this.#idle.length >= this.#most) {
      client.quit();
      return;
    }
    const remove = () => {
      const at = this.#idle.findIndex((idle) => idle.connection.client === client);
      if (at === -1) return;
      const [idle] = this.#idle.splice(at, 1);
      clearTimeout(idle?.timer);
    };
    const timer = setTimeout(() => {
      remove();
      client.quit();
    }, this.#idleMs);
    timer.unref();
    this.#idle.push({ connection, timer });
    client.whenLost(remove);
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#asked) client.abandon();
    for (const { connection, timer } of this.#idle.splice(0)) {
      clearTimeout(timer);
      connection.client.quit();
    }
  }
}
