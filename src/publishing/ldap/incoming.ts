import type { Socket } from 'node:net';
import { messageLength } from './message-length.ts';

/**
 * The messages that a client sends, taken from its socket only when they are asked for: a client whose answers wait is not read ahead
 * beyond what the socket holds by itself.
 */
export class Incoming {
  readonly #socket: Socket;
  #octets: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Whether nothing has come behind the last message. */
  get isEmpty(): boolean {
    return this.#octets.length === 0 && this.#socket.readableLength === 0;
  }

  /**
   * The next whole message; null: the client has gone, or was silent for so long.
   *
   * @throws SealgateError `publishing.ldap-protocol`
   */
  async next(silenceMs: number): Promise<Buffer | null> {
    const deadline = performance.now() + silenceMs;
    for (;;) {
      const length = messageLength(this.#octets);
      if (length !== null && length <= this.#octets.length) {
        const message = this.#octets.subarray(0, length);
        this.#octets = this.#octets.subarray(length);
        return message;
      }
      const piece = await this.#piece(deadline - performance.now());
      if (piece === null) return null;
      this.#octets = this.#octets.length === 0 ? piece : Buffer.concat([this.#octets, piece]);
    }
  }

  /** null: nothing follows, or not in time. */
  #piece(ms: number): Promise<Buffer | null> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      const settle = (piece: Buffer | null): void => {
        clearTimeout(timer);
        socket.off('readable', readable);
        socket.off('end', gone);
        socket.off('close', gone);
        resolve(piece);
      };
      const gone = (): void => settle(null);
      const readable = (): void => {
        const piece: Buffer | null = socket.read();
        if (piece !== null) settle(piece);
      };
      const timer = setTimeout(gone, Math.max(ms, 0));
      socket.on('readable', readable);
      socket.on('end', gone);
      socket.on('close', gone);
      if (socket.destroyed || socket.readableEnded) gone();
      else readable();
    });
  }
}
