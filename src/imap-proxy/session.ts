import { randomBytes } from 'node:crypto';
import { SealgateError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import { ClientSide } from './client-side.ts';
import type { MailboxViews } from './mailbox-views.ts';
import type { MemoryGate } from './memory-gate.ts';
import type { Pending, TaggedReply } from './pending.ts';
import { UpstreamSide } from './upstream-side.ts';
import type { Wire } from './wire.ts';

/** What a session begins with after login. */
export type SessionParts = {
  session: SessionId;
  client: Wire;
  upstream: Wire;
  /** Upper case; kept up to date while the session lasts. */
  upstreamCapabilities: Set<string>;
  views: MailboxViews;
  gate: MemoryGate;
  log: Log;
};

/**
 * A session after login: the client's commands go up, the upstream's responses come down, tags unchanged.
 *
 * Holds: every tagged response belongs to a command that is in `pending`; while a command of the gateway's own is on its
 * way, none of the client's is.
 */
export class Exchange {
  readonly parts: SessionParts;
  /** In the order in which they were sent. */
  readonly pending = new Map<string, Pending>();
  #idle: (() => void)[] = [];
  #injected = 0;
  #lost = false;
  readonly #tagPrefix: string;
  /** The upstream has said BYE, and the client has heard it. */
  byeSent = false;
  /** Whether part of the response that is arriving has already gone to the client. */
  relayingInside = false;

  constructor(parts: SessionParts) {
    this.parts = parts;
    this.#tagPrefix = `S${randomBytes(5).toString('hex')}`;
  }

  /** After the upstream is gone a command is lost at once. */
  add(pending: Pending): void {
    if (this.#lost) pending.settle({ status: 'lost', line: Buffer.alloc(0) });
    else this.pending.set(pending.tag, pending);
  }

  settle(pending: Pending, reply: TaggedReply): void {
    this.pending.delete(pending.tag);
    pending.settle(reply);
    if (this.pending.size > 0) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }

  /** Resolves when no command is on its way. */
  idle(): Promise<void> {
    if (this.pending.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** A tag that no command on its way has. */
  nextTag(): string {
    let tag: string;
    do tag = `${this.#tagPrefix}${++this.#injected}`;
    while (this.pending.has(tag));
    return tag;
  }

  /** The oldest FETCH on its way: servers answer in order, so a FETCH response is its. */
  currentFetch(): Pending | null {
    for (const pending of this.pending.values()) if (pending.kind === 'fetch') return pending;
    return null;
  }

  /** Nothing more will be answered. */
  lose(): void {
    this.#lost = true;
    for (const pending of [...this.pending.values()]) {
      this.settle(pending, { status: 'lost', line: Buffer.alloc(0) });
    }
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
  await Promise.race([down, up]);
  const first = cause;
  exchange.lose();
  upstream.destroy();
  client.end();
  await Promise.all([down, up]);
  return first;
}

/** A response cut off in its middle is no place for a BYE: the client must not take what it has for whole. */
function endClient(exchange: Exchange, text: string): void {
  const { client } = exchange.parts;
  exchange.lose();
  if (exchange.relayingInside) client.destroy();
  else {
    if (!exchange.byeSent) client.write(`* BYE ${text}\r\n`);
    client.end();
  }
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
