import type { Socket } from 'node:net';
import { type MailServer, type MailServerFailure, mailServerFailure } from '../connections/mail-server.ts';
import { limits } from '../limits.ts';
import { type Response, said } from './response.ts';
import { ResponseReader } from './response-reader.ts';

/** Octets of a message that are written at a time. */
const BLOCK = 256 * 1024;

/** Responses that may wait to be looked at; a server that says more unasked is of no use. */
const WAITING = 1_000;

/** How long a server may take to close after the goodbye. */
const FAREWELL_MS = 2_000;

/**
 * A connection to a mail server: responses one after the other, and octets that leave whole or end it.
 *
 * Holds: whatever a server does, each wait ends in its time.
 */
export class ImapConnection {
  readonly #socket: Socket;
  readonly #server: MailServer;
  readonly #reader = new ResponseReader();
  #responses: Response[] = [];
  #lost: string | null = null;
  #waiting: (() => void) | null = null;
  readonly #onData = (chunk: Buffer): void => this.#receive(chunk);
  readonly #onClose = (): void => this.#lose('it closed the connection');
  readonly #onError = (error: Error): void => this.#lose(error.message);

  constructor(socket: Socket, server: MailServer) {
    this.#socket = socket;
    this.#server = server;
    socket.on('data', this.#onData);
    socket.on('end', this.#onClose);
    socket.on('close', this.#onClose);
    socket.on('error', this.#onError);
  }

  get isLost(): boolean {
    return this.#lost !== null;
  }

  /** Whether the server has said anything that nobody has looked at. */
  get hasUnread(): boolean {
    return this.#responses.length > 0 || this.#reader.hasUnread;
  }

  /** @throws SealgateError `upstream.unreachable`, `upstream.refused` (temporary) */
  async next(timeoutMs: number): Promise<Response> {
    const response = await this.#wait(timeoutMs, 'it did not answer in time', () => this.#responses.shift());
    if (response.kind === 'status' && response.status === 'BYE') {
      this.destroy();
      throw this.failed('upstream.refused', `it said BYE ${said(response.text)}`);
    }
    return response;
  }

  /**
   * Resolves when the system has taken all of it.
   *
   * @throws SealgateError `upstream.unreachable` (temporary)
   */
  async write(octets: Buffer): Promise<void> {
    for (let at = 0; at < octets.length; at += BLOCK) {
      if (this.#lost !== null) throw this.#gone();
      if (this.#socket.write(octets.subarray(at, at + BLOCK))) continue;
      const drained = (): true | undefined => (this.#socket.writableNeedDrain ? undefined : true);
      const told = (): void => this.#tell();
      this.#socket.on('drain', told);
      try {
        await this.#wait(limits.imapOut.blockTimeoutMs, 'it does not take what it is sent', drained);
      } finally {
        this.#socket.off('drain', told);
      }
    }
  }

  /** Gives the socket away, for a TLS handshake. @throws SealgateError `upstream.refused` where the server has said anything behind its OK */
  release(): Socket {
    // RFC 9051 §11.1: it would have come without protection, and be read as if it had been protected.
    if (this.hasUnread) throw this.failed('upstream.refused', 'it sent something between its OK and TLS');
    if (this.#lost !== null) throw this.#gone();
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onClose);
    this.#socket.off('close', this.#onClose);
    this.#lost = 'the connection has been handed on';
    return this.#socket;
  }

  /** Sends what is written, and closes. */
  end(): void {
    if (this.#lost !== null) return;
    this.#socket.end();
    // Whoever talks on after the goodbye is not listened to.
    const patience = setTimeout(() => this.#socket.destroy(), FAREWELL_MS);
    this.#socket.once('close', () => clearTimeout(patience));
    this.#lose('the session is over', false);
  }

  destroy(reason = 'the connection was given up'): void {
    this.#lose(reason);
  }

  /** An error about this server; `reason` is for the log. */
  failed(code: MailServerFailure, reason: string): Error {
    return mailServerFailure(code, this.#server, reason);
  }

  async #wait<T>(timeoutMs: number, late: string, ready: () => T | undefined): Promise<T> {
    const timer = setTimeout(() => this.#lose(late), timeoutMs);
    try {
      for (;;) {
        const found = ready();
        if (found !== undefined) return found;
        if (this.#lost !== null) throw this.#gone();
        await new Promise<void>((resolve) => {
          this.#waiting = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #gone(): Error {
    return this.failed('upstream.unreachable', this.#lost ?? '');
  }

  #receive(chunk: Buffer): void {
    if (this.#lost !== null) return;
    this.#reader.push(chunk);
    for (let read = this.#reader.next(); read !== null; read = this.#reader.next()) {
      if (read.kind === 'malformed') {
        this.#lose(read.reason);
        return;
      }
      this.#responses.push(read.response);
      if (this.#responses.length > WAITING) this.#lose('it said more than anybody asked for');
    }
    this.#tell();
  }

  #lose(reason: string, destroy = true): void {
    if (this.#lost === null) {
      this.#lost = reason;
      if (destroy) this.#socket.destroy();
    }
    this.#tell();
  }

  #tell(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }
}
