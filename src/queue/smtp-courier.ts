import { setTimeout as sleep } from 'node:timers/promises';
import { type MailServer, type Verification, verificationOf } from '../connections/mail-server.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { Extensions } from '../smtp/extensions.ts';
import type { SmtpClient } from '../smtp-out/client.ts';
import { connectUpstream } from '../smtp-out/connect.ts';
import { type GatewayLogin, logInTo } from '../smtp-out/gateway-login.ts';
import { IdleConnections, type UsedConnection } from '../smtp-out/idle-connections.ts';
import type { Courier, DeliveryOutcome } from './ports.ts';
import { deliverIn } from './smtp-transaction.ts';

type MailForCourier = Parameters<Courier['deliver']>[0];

/**
 * Which servers take the mail now, in the order in which they are called (RFC 5321 §5.1), or why none does. `left`: why there are others that
 * are not called now, and may be later; null: there are none.
 */
export type ServersNow = { kind: 'servers'; servers: readonly MailServer[]; left: string | null } | NoServer;
/** `because`: for people. `status`: RFC 3463. */
export type NoServer = { kind: 'later' | 'failed'; because: string; status?: string };

export type SmtpCourierSettings = {
  /** A function is asked before each new connection; it never rejects. */
  server: MailServer | (() => Promise<ServersNow>);
  /** Told what became of each call: why the server is of no use, or null. */
  called?: (server: MailServer, because: string | null) => void;
  /** Of a server that is there: why it is of no use for these mails; null, or absent: it is. What no server is of use for has come to that. */
  unfit?: (extensions: Extensions) => NoServer | null;
  /** What the gateway calls itself. */
  hostname: string;
  /** null: the server takes mail from the gateway without a login. */
  login: GatewayLogin | null;
  clock: Clock;
};

/** `server`: where it is not the one that everybody knows of. */
type Connection = UsedConnection & { server?: MailServer };

/** So long nobody else calls a server that could not be reached, or that refused the login, again. */
const AWAY_MS = 5_000;
const VERIFIED: Readonly<Record<Verification['kind'], string>> = {
  ca: 'TLS, verified by certificate authorities',
  dane: 'TLS, verified by TLSA records',
  none: 'TLS, not verified',
};
export const STOPPED = 'the gateway is being stopped';

/** Takes mails to the gateway's own mail server, several on one connection. How many at once is for whoever asks. */
export class SmtpCourier implements Courier {
  readonly #settings: SmtpCourierSettings;
  readonly #idle = new IdleConnections<Connection>();
  readonly #used = new Set<SmtpClient>();
  /** That have no mail yet: nothing is waited for where the courier is closed. */
  readonly #early = new Set<SmtpClient>();
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();
  #away: { until: number; because: string } | null = null;
  #closed = false;

  constructor(settings: SmtpCourierSettings) {
    this.#settings = settings;
  }

  away(): string | null {
    if (this.#away === null) return null;
    const { until, because } = this.#away;
    const left = until - this.#settings.clock().getTime();
    // More than it ever is: the clock was set back.
    return left > 0 && left <= AWAY_MS ? because : null;
  }

  async deliver(mail: MailForCourier): Promise<readonly DeliveryOutcome[]> {
    const outcomes = this.#deliver(mail);
    this.#underWay.add(outcomes);
    try {
      return await outcomes;
    } finally {
      this.#underWay.delete(outcomes);
    }
  }

  async #deliver(mail: MailForCourier): Promise<readonly DeliveryOutcome[]> {
    const everybody = (none: NoServer): readonly DeliveryOutcome[] =>
      mail.envelope.recipients.map((recipient) => ({ recipient, reply: null, ...none }));
    try {
      let refused: readonly DeliveryOutcome[] | null = null;
      for (let fresh = 0; ; ) {
        const connection = (await this.#idle.take()) ?? (await this.#connect());
        if (!('client' in connection)) return refused ?? everybody(connection);
        const outcomes = (await this.#deliverOn(connection, mail)).map((one) => saidBy(connection, one));
        // A server that has had enough of a connection (RFC 5321 §3.8) says nothing about the mail.
        if (!outcomes.every(({ reply }) => reply?.code === 421)) return outcomes;
        connection.client.abandon();
        if (connection.mails > 0) continue;
        // Nor does one that is busy: another server of the domain is called, and this one not for a while.
        if (connection.server === undefined || ++fresh >= limits.routing.calls) return outcomes;
        this.#settings.called?.(connection.server, becauseOf(outcomes));
        refused = outcomes;
      }
    } catch (error) {
      return everybody(
        later(`the gateway could not deliver it: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
  }

  async #deliverOn(connection: Connection, mail: MailForCourier): Promise<readonly DeliveryOutcome[]> {
    const { client } = connection;
    this.#used.add(client);
    try {
      return await deliverIn(client, mail);
    } catch (error) {
      client.abandon();
      throw error;
    } finally {
      this.#used.delete(client);
      this.#idle.put({ ...connection, mails: connection.mails + 1 });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    for (const client of this.#early) client.abandon();
    this.#idle.close();
    const ended = Promise.all(this.#underWay);
    const late = new AbortController();
    const patience = sleep(limits.smtp.closeTimeoutMs, null, { signal: late.signal }).catch(() => null);
    await Promise.race([ended, patience]);
    late.abort();
    for (const client of this.#used) client.abandon();
    await ended;
  }

  async #connect(): Promise<Connection | NoServer> {
    if (this.#closed) return later(STOPPED);
    const away = this.away();
    if (away !== null) return later(away);
    const { server } = this.#settings;
    const found: ServersNow =
      typeof server === 'function' ? await server() : { kind: 'servers', servers: [server], left: null };
    if (found.kind !== 'servers') {
      // DNS is silent of the domain, whatever the mail: the others need not ask as well.
      if (found.status === '4.4.3') this.#isAway(found.because);
      return found;
    }
    let unfit: NoServer | null = null;
    let because: string | null = null;
    for (const each of found.servers) {
      const connection = await this.#call(each);
      if (typeof connection !== 'string') {
        this.#away = null;
        this.#settings.called?.(each, null);
        unfit = this.#settings.unfit?.(connection.client.extensions) ?? null;
        if (unfit !== null) {
          connection.client.quit();
          continue;
        }
        if (typeof server !== 'function') return connection;
        return { ...connection, server: each };
      }
      if (this.#closed) return later(STOPPED);
      because = connection;
      this.#settings.called?.(each, because);
    }
    // Whoever was not there, or not called, may be fit.
    if (because === null && unfit !== null) {
      return found.left === null ? unfit : { ...later(found.left), status: '4.4.1' };
    }
    return { ...later(this.#isAway(because ?? 'there is no mail server for it')), status: '4.4.1' };
  }

  /** A text: why it is of no use, for people. */
  async #call(server: MailServer): Promise<Connection | string> {
    try {
      const client = await connectUpstream(server, this.#settings.hostname, null, this.#closing.signal);
      // Where both came at the same moment: what is early now is abandoned by nobody any more.
      if (this.#closed) {
        client.abandon();
        return STOPPED;
      }
      const because = await this.#whileEarly(client, () => this.#logIn(client, server));
      if (because === null) return this.#idle.fresh(client);
      client.quit();
      return because;
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      return `the mail server cannot be used: ${error.reason ?? error.publicText}`;
    }
  }

  async #whileEarly<T>(client: SmtpClient, act: () => Promise<T>): Promise<T> {
    this.#early.add(client);
    try {
      return await act();
    } finally {
      this.#early.delete(client);
    }
  }

  #isAway(because: string): string {
    this.#away = { until: this.#settings.clock().getTime() + AWAY_MS, because };
    return because;
  }

  async #logIn(client: SmtpClient, server: MailServer): Promise<string | null> {
    const { login } = this.#settings;
    if (login === null) return null;
    if (server.options.tls === 'if-offered') return 'the gateway logs in to a server only where it knows it';
    return await logInTo(client, login);
  }
}

function saidBy({ server, client }: Connection, outcome: DeliveryOutcome): DeliveryOutcome {
  if (server === undefined) return outcome;
  if (outcome.kind === 'delivered') {
    const how = client.encrypted ? VERIFIED[verificationOf(server.options).kind] : 'without TLS';
    return { ...outcome, by: `${server.name}, ${how}` };
  }
  if (outcome.reply === null) return outcome;
  return { ...outcome, server: verificationOf(server.options).serverName };
}

function becauseOf([first]: readonly DeliveryOutcome[]): string {
  return first === undefined || first.kind === 'delivered' ? '' : first.because;
}

function later(because: string): NoServer {
  return { kind: 'later', because };
}
