import { randomBytes } from 'node:crypto';
import { SealgateError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Spool } from '../octets/source.ts';
import type { Openings } from '../reading/openings.ts';
import type { Timers } from '../reading/timers.ts';
import type { Answer } from './answer.ts';
import type { KeepingSession } from './append/kept-aside.ts';
import type { Storing } from './append/storing.ts';
import type { Telling } from './capability.ts';
import { ClientSide } from './client-side.ts';
import { ClientVoice } from './client-voice.ts';
import type { ToldSession } from './epoch/told-session.ts';
import type { ForeignLook } from './foreign/foreign-look.ts';
import type { GatheringPlaces } from './gathering.ts';
import type { MailboxViews } from './mailbox-views.ts';
import type { Pending, TaggedReply } from './pending.ts';
import type { Refreshing } from './refresh/refreshing.ts';
import type { SearchScope } from './search/open-undecided.ts';
import { finalReply, publicLine } from './tagged-reply.ts';
import { tellNowAndThen } from './tell-now-and-then.ts';
import { UpstreamSide } from './upstream-side.ts';
import { Waits } from './waits.ts';
import type { Wire } from './wire.ts';

/** What a session begins with after login. */
export type SessionParts = {
  session: SessionId;
  client: Wire;
  upstream: Wire;
  /** Upper case; kept up to date while the session lasts. */
  upstreamCapabilities: Set<string>;
  telling: Telling;
  views: MailboxViews;
  /** Where messages wait while they are opened. */
  spool: Spool;
  openings: Openings;
  log: Log;
  timers: Timers;
  /** What becomes of a FETCH from which messages are missing for their keys. */
  keyAway: 'refuse' | 'disconnect';
  search: SearchScope;
  /** Where mail that clients store is encrypted; null: nowhere for this login. */
  storing: Storing | null;
  /** Where signed mail that clients store is kept until its signers' certificates are learned; null: it is not. */
  keeping: KeepingSession | null;
  /** Asks for whom encrypted messages are before anything is said of them; null: never. */
  foreign: ForeignLook | null;
  /** What clients are told of UIDVALIDITY; null: always what the mail server says. */
  told: ToldSession | null;
  /** Gives new UIDs to what a new key opens; null: never. */
  refreshing: Refreshing | null;
};

/**
 * A session after login: the client's commands go up, the upstream's responses come down, tags unchanged.
 *
 * Holds: every tagged response belongs to a command that is in `pending`; while a command of the gateway's own is on its
 * way, none of the client's is; a FETCH that waits for a key is in `pending` and not on its way.
 */
export class Exchange {
  readonly parts: SessionParts;
  /** Those without an answer to the client, in the order in which they were sent. */
  readonly pending = new Map<string, Pending>();
  readonly waits: Waits;
  /** Rejects with a defect of what goes on behind other commands. */
  readonly broken: Promise<never>;
  #break: (error: unknown) => void = () => undefined;
  #changed: (() => void)[] = [];
  #injected = 0;
  #lost = false;
  readonly #tagPrefix: string;
  /** The client has heard BYE, from the upstream or from us. */
  byeSent = false;
  /** One may have crossed the mail server's own end of an IDLE, and then it was no command (RFC 2177 §3). */
  hasSaidDone = false;
  /** The gateway has ended the session: what the client still says is not done. */
  over = false;
  readonly voice: ClientVoice;

  constructor(parts: SessionParts) {
    this.parts = parts;
    this.waits = new Waits(parts.timers);
    this.#tagPrefix = `S${randomBytes(5).toString('hex')}`;
    this.broken = new Promise((_resolve, reject) => {
      this.#break = reject;
    });
    this.broken.catch(() => undefined);
    this.voice = new ClientVoice(parts.client, this.#break);
  }

  /** A whole response, which must not come into the middle of another one. */
  say(response: Buffer | string | Answer): Promise<void> | null {
    return this.voice.whole(typeof response === 'string' ? Buffer.from(response, 'latin1') : response);
  }

  /** Where messages of this session are gathered. */
  get places(): GatheringPlaces {
    const { spool, openings, views, client, timers } = this.parts;
    const tellOfWaiting = () =>
      tellNowAndThen(
        timers,
        () => void this.say('* OK [INPROGRESS] Waiting for other messages to be opened\r\n'),
      );
    return { spool, openings, login: views.login, ended: client.signal, tellOfWaiting };
  }

  /** After the upstream is gone a command is lost at once. */
  add(pending: Pending): void {
    if (this.#lost) {
      pending.settle({ status: 'lost', line: Buffer.alloc(0) });
      pending.finish();
    } else this.pending.set(pending.tag, pending);
  }

  /** The upstream has answered. A command that is `held` is finished by whoever holds it, a FETCH when nothing is waited for. */
  settle(pending: Pending, reply: TaggedReply): void {
    pending.settle(reply);
    if (!pending.held && pending.kind !== 'fetch') this.finish(pending);
    this.#change();
  }

  /** The client has its answer, or needs none. */
  finish(pending: Pending): void {
    this.pending.delete(pending.tag);
    pending.finish();
    this.#change();
  }

  /** Gives the client the answer to a FETCH as soon as nothing more is waited for. */
  conclude(pending: Pending, reply: TaggedReply): Promise<void> | null {
    if (pending.postponed.length === 0 && pending.penalty.delayMs === 0 && !this.#endsWith(pending)) {
      const wait = this.say(finalReply(pending, reply));
      this.finish(pending);
      return wait;
    }
    this.inBackground(this.concludeLater(pending, reply));
    return null;
  }

  /** The same, for whoever waits for it. */
  async concludeLater(pending: Pending, reply: TaggedReply): Promise<void> {
    await Promise.all(pending.postponed);
    const { delayMs } = pending.penalty;
    if (this.#endsWith(pending)) return this.#end(pending);
    if (delayMs > 0) await this.waits.delay(delayMs);
    if (reply.status !== 'lost') await this.say(finalReply(pending, reply));
    this.finish(pending);
  }

  /** A defect of what goes on by itself ends the session. */
  watch(work: Promise<void>): void {
    work.catch((error: unknown) => this.#break(error));
  }

  /**
   * Waits for a continuation request. One that does not come ends the session: a client that has much to say is not read meanwhile,
   * so that nobody would notice that it has gone.
   */
  async owed(accepted: Promise<boolean>): Promise<boolean> {
    const cancel = this.parts.timers.after(limits.imap.continuationMs, () =>
      this.#break(withoutContinuation()),
    );
    try {
      return await accepted;
    } finally {
      cancel();
    }
  }

  /** What goes on while other commands do; the returned function says that it does not any longer. */
  inBackground(work: Promise<void>): () => void {
    this.watch(work);
    return this.waits.behind(work);
  }

  /** Resolves when every command has its answer. */
  async idle(): Promise<void> {
    while (this.pending.size > 0) await this.#nextChange();
  }

  /** Whether nothing is on its way upstream. */
  get isQuiet(): boolean {
    return [...this.pending.values()].every(({ settled }) => settled);
  }

  /** Resolves with true when nothing is on its way upstream, with false when `signal` comes first. */
  async quiet(signal?: AbortSignal): Promise<boolean> {
    while (signal?.aborted !== true) {
      if (this.isQuiet) return true;
      await this.#nextChange(signal);
    }
    return false;
  }

  /** A tag that no command on its way has. */
  nextTag(): string {
    let tag: string;
    do tag = `${this.#tagPrefix}${++this.#injected}`;
    while (this.pending.has(tag));
    return tag;
  }

  /**
   * The FETCH on its way that a response about this message belongs to. Servers answer in order, but some say the data of
   * several commands (Dovecot) before the first tagged response: the oldest that asks for it, or else the oldest.
   */
  fetchOf(msn: number, uid: number | null): Pending | null {
    const fetches = [...this.pending.values()].filter(({ kind, settled }) => kind === 'fetch' && !settled);
    const [oldest = null] = fetches;
    if (fetches.length < 2) return oldest;
    return fetches.find((pending) => pending.asksFor(msn, uid)) ?? oldest;
  }

  /** Whether responses about messages that are shown as stored are not all passed on as they are. */
  get adjustsPlain(): boolean {
    for (const { addedUid } of this.pending.values()) if (addedUid) return true;
    return this.parts.views.listing.size === 'of-view';
  }

  /** Whether nothing more will be answered. */
  get isLost(): boolean {
    return this.#lost;
  }

  /** Nothing more will be answered. */
  lose(): void {
    this.#lost = true;
    for (const pending of [...this.pending.values()]) {
      if (!pending.settled) pending.settle({ status: 'lost', line: Buffer.alloc(0) });
      this.finish(pending);
    }
    this.voice.abandon();
    this.waits.end();
  }

  /** Whether the session ends in the place of an answer. */
  #endsWith({ penalty, withheld }: Pending): boolean {
    return penalty.bye || (this.parts.keyAway === 'disconnect' && withheld?.key === true);
  }

  async #end({ penalty, withheld }: Pending): Promise<void> {
    this.over = true;
    const text = `${penalty.bye ? 'Asked for in vain too often. ' : ''}${publicLine(withheld?.text ?? '')}`;
    await this.say(`* BYE [UNAVAILABLE] ${text}\r\n`);
    this.byeSent = true;
    this.parts.client.end();
  }

  #change(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const resolve of changed) resolve();
  }

  #nextChange(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal?.removeEventListener('abort', done);
        resolve();
      };
      signal?.addEventListener('abort', done);
      this.#changed.push(done);
    });
  }
}

/** Runs until one leg ends; then both are closed. Never throws. Returns why it ended, for the log. */
export async function runSession(parts: SessionParts): Promise<string> {
  const exchange = new Exchange(parts);
  const upstreamSide = new UpstreamSide(exchange);
  const clientSide = new ClientSide(exchange, upstreamSide);
  const { client, upstream } = parts;
  let cause = 'ended';
  const down = upstreamSide.run().then(
    () => {
      cause = `mail server: ${upstream.cause}`;
      endClient(exchange, 'Connection to the mail server was closed.');
    },
    (error: unknown) => {
      cause = failed(parts, 'upstream', error);
      endClient(exchange, 'The mail server was not understood. Connect again.');
    },
  );
  const up = clientSide.run().then(
    () => {
      cause = `client: ${client.cause}`;
    },
    (error: unknown) => {
      cause = failed(parts, 'client', error);
      endClient(exchange, 'The client was not understood. Connect again.');
    },
  );
  const behind = exchange.broken.catch((error: unknown) => {
    cause = failed(parts, error instanceof SealgateError ? 'upstream' : 'client', error);
    endClient(exchange, 'Something went wrong. Connect again.');
  });
  const gone = (): void => exchange.waits.giveUpFromNow();
  if (upstream.ended) gone();
  else upstream.signal.addEventListener('abort', gone);
  await Promise.race([down, up, behind]);
  const first = cause;
  exchange.lose();
  upstream.destroy();
  await exchange.voice.quiet();
  if (exchange.voice.inside) client.destroy();
  else client.end();
  await Promise.all([down, up]);
  return first;
}

function withoutContinuation(): SealgateError {
  return new SealgateError({
    code: 'imap.protocol',
    publicText: 'The mail server does not go on. Connect again.',
    duration: 'temporary',
    reason: 'the continuation request did not come in time',
  });
}

/** A response cut off in its middle is no place for a BYE: the client must not take what it has for whole. */
function endClient(exchange: Exchange, text: string): void {
  const { client } = exchange.parts;
  exchange.lose();
  exchange.over = true;
  if (exchange.voice.inside) client.destroy();
  else if (!exchange.byeSent) void exchange.say(`* BYE ${text}\r\n`);
  exchange.byeSent = true;
}

function failed(parts: SessionParts, side: 'client' | 'upstream', error: unknown): string {
  const { log, session } = parts;
  if (error instanceof SealgateError) {
    log.write({
      event: 'imap.protocol-error',
      level: 'warn',
      session,
      side,
      reason: error.reason ?? error.code,
    });
    return error.code;
  }
  log.write({ event: 'gateway.defect', level: 'error', where: 'imap-proxy.session', error: String(error) });
  return 'defect';
}
