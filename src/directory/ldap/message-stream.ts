import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { LdapMessages, type MessageBounds } from './messages.ts';

/**
 * A connection as the LDAP library sees it: open already, and each piece that it reads is exactly one message. The library reads what
 * follows a message in one piece by calling itself, and what is not whole by joining it again and again; neither comes to that.
 */
export class MessageStream extends Duplex {
  readonly connecting = false;
  readonly readyState = 'open';
  readonly #socket: Socket;

  constructor(socket: Socket, bounds: MessageBounds) {
    super({ readableObjectMode: true, allowHalfOpen: false });
    this.#socket = socket;
    const messages = new LdapMessages(bounds);
    socket.on('data', (piece: Buffer) => {
      try {
        for (const message of messages.push(piece)) this.push(message);
      } catch (error) {
        this.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.push(null));
    socket.resume();
  }

  override _read(): void {
    // Answers are bounded as a whole, so they may come as fast as they do.
  }

  override _write(piece: Buffer, _: string, done: (error?: Error | null) => void): void {
    if (this.#socket.destroyed) done(new Error('the connection is closed'));
    else this.#socket.write(piece, done);
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
