import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { ClientCertificates } from './tls-context.ts';

/**
 * The TLS side of a client's connection, after its handshake; the client has `timeoutMs` for it, and no more than any client. When the handshake fails the
 * socket is closed. `certificates`: `asked`: a client may show one, which nobody has judged then; the context is made for it. Throws SealgateError `listener.handshake` (temporary).
 */
export function secured(
  socket: Socket,
  secureContext: SecureContext,
  timeoutMs: number,
  certificates: ClientCertificates = 'ignored',
): Promise<TLSSocket> {
  if (socket.destroyed) return Promise.reject(handshakeFailed('the client closed the connection'));
  const secure = new TLSSocket(socket, {
    ...{ isServer: true, secureContext },
    // Whoever it is, and whether that is enough, is judged by who asked: here everybody gets through.
    ...(certificates === 'asked' ? { requestCert: true, rejectUnauthorized: false } : {}),
  });
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

/** What the client has shown, DER, its own certificate first. Nothing in it is believed; empty: none. */
export function shownChain(socket: TLSSocket): readonly Buffer[] {
  const chain: Buffer[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < CHAIN) {
    chain.push(certificate.raw);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

/** Certificates of one chain that are looked at. */
const CHAIN = 10;

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
