import { SealgateError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import type { OctetSource } from '../octets/source.ts';
import { Observations } from '../reading/observations.ts';
import type { ReaderViews } from '../reading/reader-views.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { UpstreamCapabilities } from './capability.ts';
import type { ClientLines } from './client-lines.ts';
import { type CommandLine, readCommandLine } from './command-line.ts';
import { exchangeOf } from './commands/exchange-of.ts';
import type { Leg } from './leg.ts';
import { Maildrop } from './maildrop.ts';
import type { Replies } from './replies.ts';
import type { StatusLine } from './reply-scanner.ts';
import { cleanStatus, refusal } from './reply-text.ts';
import type { Exchange, TransactionContext, TransactionSettings } from './transaction-context.ts';
import { UpstreamSide, unasked } from './upstream-side.ts';

/** Of messages that wait to be looked at, which are in spools. */
const OBSERVED_OCTETS = 16 * 1024 * 1024;

/** What the TRANSACTION state begins with, after login. */
export type TransactionParts = TransactionSettings & {
  session: SessionId;
  client: ClientLines;
  replies: Replies;
  capabilities: UpstreamCapabilities;
  views: ReaderViews;
};

/**
 * The TRANSACTION and UPDATE states (RFC 1939 §5, §6): commands go up as they come, answers are given one after another in their
 * order.
 *
 * Must never happen: a QUIT that the client did not send (what it marked would be removed); a message cut short that ends like a
 * whole one.
 */
export class Transaction implements TransactionContext {
  readonly parts: TransactionParts;
  readonly upstream: UpstreamSide;
  readonly maildrop: Maildrop;
  readonly exhausted: TransactionContext['exhausted'] = new Map();
  readonly #queue: Exchange[] = [];
  #changed: (() => void)[] = [];
  /** The client says nothing more. */
  #heard = false;
  /** Why nothing more of it is understood: told when what it said before is answered. */
  #fault: { error: unknown } | null = null;
  /** Part of an answer has gone to the client. */
  #inside = false;
  /** The client asks in vain and does not listen. */
  #over = false;
  #ended = false;
  readonly #observations: Observations;

  constructor(parts: TransactionParts) {
    this.parts = parts;
    this.#observations = new Observations((octets) => this.#look(octets), OBSERVED_OCTETS);
    this.maildrop = new Maildrop(parts.asStored, parts.epoch);
    this.upstream = new UpstreamSide(parts.replies, parts.capabilities.list.has('PIPELINING'));
  }

  get client(): Leg {
    return this.parts.client.leg;
  }

  get capabilities(): UpstreamCapabilities {
    return this.parts.capabilities;
  }

  get views(): ReaderViews {
    return this.parts.views;
  }

  get topBody(): TransactionSettings['topBody'] {
    return this.parts.topBody;
  }

  get spool(): TransactionSettings['spool'] {
    return this.parts.spool;
  }

  get openings(): TransactionSettings['openings'] {
    return this.parts.openings;
  }

  get epoch(): number {
    return this.parts.epoch;
  }

  get asStored(): boolean {
    return this.parts.asStored;
  }

  get relayMechanisms(): TransactionSettings['relayMechanisms'] {
    return this.parts.relayMechanisms;
  }

  get log(): TransactionSettings['log'] {
    return this.parts.log;
  }

  get timers(): TransactionSettings['timers'] {
    return this.parts.timers;
  }

  pass({ text }: StatusLine): void {
    this.client.write(`${cleanStatus(text, this.capabilities.list.has('RESP-CODES'))}\r\n`);
  }

  begin(status: StatusLine): void {
    this.#inside = true;
    this.pass(status);
  }

  async more(octets: Buffer): Promise<void> {
    const room = this.client.write(octets);
    if (room !== null) await room;
    if (this.client.gone) throw clientGone(this.client.cause);
  }

  finish(last: Buffer | string = '.\r\n'): void {
    this.client.write(last);
    this.#inside = false;
  }

  async refuse({ code, text, penalty }: Withheld): Promise<void> {
    if (penalty !== undefined && penalty.delayMs > 0) await this.#delay(penalty.delayMs);
    this.client.write(refusal(code === 'SERVERBUG' ? 'SYS/PERM' : 'SYS/TEMP', text));
    this.#over = penalty?.bye === true;
  }

  observe(octets: OctetSource, discard: () => Promise<void>): void {
    this.#observations.add(octets, () => this.#orDefect(discard()));
  }

  #look(octets: OctetSource): Promise<void> {
    return this.#orDefect(this.views.observe(octets));
  }

  async #orDefect(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#defect(error);
    }
  }

  /** Runs to the end of the session; then both legs are closed. Never throws. Returns why it ended, for the log. */
  async run(): Promise<string> {
    const { client, upstream } = this;
    const gone = (): void => this.#clientGone();
    client.signal.addEventListener('abort', gone);
    if (client.gone) gone();
    const up = this.#hearAll();
    try {
      return await this.#answer();
    } catch (error) {
      return this.#failed(error);
    } finally {
      client.signal.removeEventListener('abort', gone);
      this.#ended = true;
      this.#change();
      if (upstream.quitSent) upstream.replies.leg.end();
      else upstream.replies.leg.destroy();
      if (this.#inside) client.destroy();
      else client.end();
      await up;
      this.views.end();
    }
  }

  /** Never rejects. */
  async #hearAll(): Promise<void> {
    try {
      await this.#hear();
    } catch (error) {
      this.#fault = { error };
    }
    this.#heard = true;
    this.#change();
  }

  /** Reads commands and sends them on, as far as they may be sent. */
  async #hear(): Promise<void> {
    for (;;) {
      const line = await this.parts.client.next();
      if (line === null) break;
      const command = readCommandLine(line);
      while (this.#hasToWait(command)) await this.#nextChange();
      if (this.#ended || (this.client.gone && command.verb !== 'QUIT')) break;
      this.#queue.push(exchangeOf(this, command));
      this.#change();
      if (command.verb === 'QUIT') break;
    }
  }

  #hasToWait(command: CommandLine): boolean {
    if (this.#ended) return false;
    if (this.#queue.length >= limits.pop3.commandsInFlight) return true;
    if (this.#queue.at(-1)?.holds === true) return true;
    // Whether the client gets the message decides whether it may be removed.
    return command.verb === 'DELE' && this.#queue.some(({ delivers }) => delivers === command.message);
  }

  async #answer(): Promise<string> {
    for (;;) {
      const exchange = this.#queue[0];
      if (exchange === undefined) {
        if (this.upstream.quitSent) return 'quit';
        if (this.#fault !== null) throw this.#fault.error;
        if (this.#heard) return `client: ${this.client.cause}`;
        const cause = await this.#idle();
        if (cause !== null) return cause;
        continue;
      }
      await exchange.answer();
      this.#queue.shift();
      this.#change();
      if (this.#over) return 'the client asks in vain too often';
    }
  }

  /** Nothing is on its way. Not null: the mail server has ended the session. */
  async #idle(): Promise<string | null> {
    const { leg } = this.upstream.replies;
    // Nothing is left behind in the leg by a client that says much to which the server says nothing.
    const changed = new AbortController();
    const octets = await Promise.race([
      this.#nextChange().then(() => null),
      leg.readable(changed.signal),
    ]).finally(() => changed.abort());
    if (octets === null || this.#queue.length > 0) return null;
    if (octets) throw unasked();
    return `mail server: ${leg.cause}`;
  }

  /** What the client marked stays marked by nobody: without QUIT the server removes nothing (RFC 1939 §6). */
  #clientGone(): void {
    if (!this.upstream.quitSent) this.upstream.replies.leg.destroy();
    else this.timers.after(QUIT_MS, () => this.upstream.replies.leg.destroy());
    this.#change();
  }

  #failed(error: unknown): string {
    const { log, session } = this.parts;
    if (!(error instanceof SealgateError)) {
      this.#defect(error);
      if (!this.#inside) this.client.write(refusal('SYS/PERM', 'Something went wrong. Connect again.'));
      return 'defect';
    }
    const { code, publicText } = error;
    if (this.client.gone || code === 'pop3.client-gone') return `client: ${this.client.cause}`;
    const side = code === 'pop3.protocol' ? 'client' : 'upstream';
    log.write({ event: 'pop3.protocol-error', level: 'warn', session, side, reason: error.reason ?? code });
    if (!this.#inside) this.client.write(refusal(side === 'client' ? null : 'SYS/TEMP', publicText));
    return code;
  }

  #defect(error: unknown): void {
    const where = 'pop3-proxy.transaction';
    this.log.write({ event: 'gateway.defect', level: 'error', where, error: String(error) });
  }

  async #delay(ms: number): Promise<void> {
    const { signal } = this.client;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.timers.after(ms, end);
      signal.addEventListener('abort', end);
      if (signal.aborted) end();
    });
  }

  #change(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const resolve of changed) resolve();
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }
}

/** How long the server has for its last answer when the client did not wait for it. */
const QUIT_MS = 30_000;

function clientGone(reason: string): SealgateError {
  return new SealgateError({
    code: 'pop3.client-gone',
    publicText: 'The client closed the connection.',
    duration: 'temporary',
    reason,
  });
}
