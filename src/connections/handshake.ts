import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';

/**
 * The TLS side of a client's connection, after its handshake; the client has `timeoutMs` for it, and no more than any client. When the handshake fails the
 * socket is closed. Throws SealgateError `listener.handshake` (temporary).
 */
export function secured(socket: Socket, secureContext: SecureContext, timeoutMs: number): Promise<TLSSocket> {
  if (socket.destroyed) return Promise.reject(handshakeFailed('the client closed the connection'));
  const secure = new TLSSocket(socket, { isServer: true, secureContext });
  return new Promise((resolve, reject) => {
    const failed = (error?: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(handshakeFailed(error?.message ?? 'the client closed the connection'));
    };
    const closed = (): void => failed();
    const timer = setTimeout(
      () => {
        failed(new Error('the handshake took too long'));
        secure.destroy();
      },
      Math.min(timeoutMs, limits.connections.handshakeTimeoutMs),
    );
    secure.once('error', failed);
    secure.once('close', closed);
    secure.once('secure', () => {
      clearTimeout(timer);
      secure.off('error', failed);
      secure.off('close', closed);
      secure.on('error', ignored);
      resolve(secure);
    });
  });
}

/** For an error between two listeners, which must not be nobody's: Node closes the socket by itself. */
const ignored = (): void => undefined;

function handshakeFailed(reason: string): SealgateError {
  return new SealgateError({
    code: 'listener.handshake',
    publicText: 'TLS could not be started.',
    duration: 'temporary',
    reason,
  });
}
