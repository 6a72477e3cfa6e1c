import { type MailServer, mailServerFailure } from '../connections/mail-server.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Extensions } from '../smtp/extensions.ts';
import { statedLimits } from '../smtp/transaction-limits.ts';
import type { Answer, MailProtocol, SmtpClient, Upstream } from './client.ts';
import { connectUpstream } from './connect.ts';
import { type GatewayLogin, logInTo } from './gateway-login.ts';
import {
  IdleConnections,
  type IdleConnectionsOptions,
  STILL_THERE_MS,
  type UsedConnection,
} from './idle-connections.ts';

export type PoolSettings = {
  /** Without a PROXY header and without XCLIENT: those say whose a connection is. */
  server: MailServer;
  /** What the gateway calls itself. */
  hostname: string;
  /** The gateway's own; null: it does not log in. */
  login: GatewayLogin | null;
} & IdleConnectionsOptions;

/**
 * Connections to one mail server that sessions use one after the other, where none of them logs in there by itself.
 *
 * Holds: a session has its connection for itself, as if it were new. Must never happen: a connection on which somebody logged in, or said
 * whose it is, is used by anybody else; whoever gave a connection back still reaches it.
 */
export class UpstreamPool {
  readonly #settings: PoolSettings;
  readonly #idle: IdleConnections;
  /** Of which the transaction that a session left open is being reset. */
  readonly #resetting = new Set<SmtpClient>();
  #closed = false;

  constructor(settings: PoolSettings) {
    const { proxyProtocol = 'none', tellClientAddress = false } = settings.server.options;
    if (proxyProtocol !== 'none' || tellClientAddress) throw new Error('a connection that tells whose it is');
    this.#settings = settings;
    this.#idle = new IdleConnections(settings);
  }

  /**
   * Throws as `connectUpstream`, and SealgateError `upstream.refused` (temporary) where the gateway's login is refused. `signal`: nobody needs
   * it any more.
   */
  async take(signal: AbortSignal | null = null): Promise<Upstream> {
    const used = (await this.#idle.take()) ?? (await this.#connect(signal));
    return new Lent(used, (given, isOpen) => this.#givenBack(given, isOpen));
  }

  /** What is lent is ended when it comes back. */
  close(): void {
    this.#closed = true;
    this.#idle.close();
    for (const client of this.#resetting) client.abandon();
  }

  #givenBack(given: UsedConnection, isOpen: boolean): void {
    const { client, mails } = given;
    // What the server says of a connection as a whole is passed on to clients: each has to have a whole one.
    const isCounted = statedLimits(client.extensions).has('MAILMAX');
    if (this.#closed || (isCounted && mails > 0)) client.quit();
    else if (isOpen && client.atRest) {
      // What a session left open is not for the server to keep until the next one comes.
      this.#resetting.add(client);
      client.command('RSET', STILL_THERE_MS).then(() => {
        this.#resetting.delete(client);
        this.#givenBack(given, false);
      });
    } else this.#idle.put(given);
  }

  async #connect(signal: AbortSignal | null): Promise<UsedConnection> {
    const { server, hostname, login } = this.#settings;
    return this.#idle.fresh(await connectAsGateway(server, hostname, login, null, signal));
  }
}

/** A connection on which the gateway itself has logged in. Throws as `UpstreamPool.take`. */
export async function connectAsGateway(
  server: MailServer,
  hostname: string,
  login: GatewayLogin | null,
  from: Parameters<typeof connectUpstream>[2] = null,
  signal: AbortSignal | null = null,
): Promise<SmtpClient> {
  const client = await connectUpstream(server, hostname, from, signal);
  if (login === null) return client;
  const abandon = (): void => client.abandon();
  signal?.addEventListener('abort', abandon);
  try {
    if (signal?.aborted === true) abandon();
    const because = await logInTo(client, login);
    if (because === null) return client;
    client.quit();
    throw mailServerFailure('upstream.refused', server, because);
  } finally {
    signal?.removeEventListener('abort', abandon);
  }
}

/** After these a connection is somebody's. */
const PERSONAL = /^(?:AUTH|XCLIENT|XFORWARD|STARTTLS|EHLO|HELO|LHLO)\b/i;
const OVER = { kind: 'lost', reason: 'the connection was given back' } as const;

/** A connection as long as one session has it. */
class Lent implements Upstream {
  readonly name: string;
  readonly protocol: MailProtocol;
  readonly extensions: Extensions;
  readonly secure: boolean;
  readonly #used: UsedConnection;
  readonly #giveBack: (used: UsedConnection, isOpen: boolean) => void;
  #isBack = false;
  #isPersonal = false;
  /** A transaction may be open. */
  #isOpen = false;

  constructor(used: UsedConnection, giveBack: (used: UsedConnection, isOpen: boolean) => void) {
    const { name, protocol, extensions, secure } = used.client;
    this.name = name;
    this.protocol = protocol;
    this.extensions = extensions;
    this.secure = secure;
    this.#used = used;
    this.#giveBack = giveBack;
  }

  get lost(): string | null {
    return this.#isBack ? OVER.reason : this.#used.client.lost;
  }

  whenLost(listener: (reason: string) => void): void {
    if (!this.#isBack) this.#used.client.whenLost(listener);
  }

  command(line: string): Promise<Answer> {
    if (this.#isBack) return Promise.resolve(OVER);
    if (PERSONAL.test(line)) this.#isPersonal = true;
    if (/^MAIL\b/i.test(line)) {
      this.#isOpen = true;
      this.#used.mails++;
    }
    return this.#heard(this.#used.client.command(line));
  }

  secret(line: Buffer): Promise<Answer> {
    if (this.#isBack) {
      line.fill(0);
      return Promise.resolve(OVER);
    }
    this.#isPersonal = true;
    return this.#used.client.secret(line);
  }

  async data(message: OctetSource): Promise<Answer> {
    if (this.#isBack) return { ...OVER, unsent: true };
    const answer = await this.#heard(this.#used.client.data(message));
    if (answer.kind === 'reply') this.#isOpen = false;
    return answer;
  }

  async dataForEach(message: OctetSource, recipients: number): Promise<readonly Answer[]> {
    if (this.#isBack) return Array.from({ length: recipients }, () => ({ ...OVER, unsent: true as const }));
    const answers = await this.#used.client.dataForEach(message, recipients);
    for (const answer of answers) this.#hear(answer);
    this.#isOpen = false;
    return answers;
  }

  quit(): void {
    if (this.#isBack) return;
    this.#isBack = true;
    const { client } = this.#used;
    client.whenLost(() => undefined);
    if (this.#isPersonal) client.quit();
    else this.#giveBack(this.#used, this.#isOpen);
  }

  abandon(reason?: string): void {
    if (this.#isBack) return;
    this.#isBack = true;
    this.#used.client.abandon(reason);
  }

  async #heard(answering: Promise<Answer>): Promise<Answer> {
    const answer = await answering;
    this.#hear(answer);
    return answer;
  }

  #hear(answer: Answer): void {
    // RFC 5321 §3.8: the server is about to close it.
    if (answer.kind === 'reply' && answer.reply.code === 421) this.#isPersonal = true;
  }
}
