import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { LdapMessages, type MessageBounds } from './messages.ts';

/**
 * A connection as the LDAP library sees it: open already, and each piece that it reads is exactly one message. The library reads what
 * follows a message in one piece by calling itself, and what is not whole by joining it again and again; neither comes to that.
 *
 * It emits no error, since the library takes its listeners away at times: it closes, and `failure` says why.
 */
export class MessageStream extends Duplex {
  readonly connecting = false;
  readonly readyState = 'open';
  readonly #socket: Socket;
  #failure: Error | null = null;

  constructor(socket: Socket, bounds: MessageBounds) {
    super({ readableObjectMode: true, allowHalfOpen: false });
    this.#socket = socket;
    const messages = new LdapMessages(bounds);
    socket.on('data', (piece: Buffer) => {
      try {
        for (const message of messages.push(piece)) this.push(message);
      } catch (error) {
        this.fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('it closed the connection')));
    socket.resume();
  }

  /** What ended it first; null: it is open, or was ended by this side. */
  get failure(): Error | null {
    return this.#failure;
  }

  fail(error: Error): void {
    if (!this.destroyed) this.#failure = error;
    this.destroy();
  }

  override _read(): void {
    // Answers are bounded as a whole, so they may come as fast as they do.
  }

  override _write(piece: Buffer, _: string, done: (error?: Error | null) => void): void {
    this.#socket.write(piece, (error) => {
      if (error != null) this.fail(error);
      done();
    });
  }

  override _final(done: () => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
