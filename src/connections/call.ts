import type { X509Certificate } from 'node:crypto';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { SealgateError } from '../errors.ts';
import { isLoopback } from './loopback.ts';
import { type MailServer, mailServerFailure, verificationOf } from './mail-server.ts';
import { type ProxiedConnection, proxyHeader } from './write-proxy-header.ts';

export type Calling = {
  /** Whose connection it is; null: our own. */
  from: ProxiedConnection | null;
  /** For connecting, and for each handshake. */
  timeoutMs: number;
  /** The client has gone, nobody needs the connection any more. Absent: that is not known. */
  signal?: AbortSignal;
};

/**
 * Connects to a mail server: a PROXY header first, where one is configured, then TLS if it is implicit.
 *
 * Must never happen: a connection without the TLS that is configured; one to another machine without TLS, unless that is permitted.
 *
 * Throws SealgateError `upstream.unreachable`, `upstream.tls`, `upstream.plaintext` (temporary).
 */
export async function call(server: MailServer, calling: Calling): Promise<Socket> {
  const { host, port, tls, allowPlaintext, proxyProtocol = 'none' } = server.options;
  const raw = await opened(connect({ host, port }), 'connect', server, calling);
  if (tls === 'none' && allowPlaintext !== true && !isLoopback(raw.remoteAddress ?? '')) {
    raw.destroy();
    throw mailServerFailure('upstream.plaintext', server, 'it is not this machine');
  }
  if (proxyProtocol !== 'none') raw.write(proxyHeader(proxyProtocol, calling.from));
  return tls === 'implicit' ? await callSecurely(server, raw, calling) : raw;
}

/**
 * TLS on a connection, the server verified as its options have it.
 *
 * Throws SealgateError `upstream.unreachable`, `upstream.tls` (temporary).
 */
export async function callSecurely(server: MailServer, socket: Socket, calling: Calling): Promise<TLSSocket> {
  const { context, options } = server;
  if (context === null) throw new Error('a server without TLS has no context');
  const verification = verificationOf(options);
  const name = verification.serverName;
  const secure = connectTls({
    socket,
    // A name is what is asked for (SNI) and checked; an address is only checked.
    ...(isIP(name) === 0 ? { servername: name } : { host: name }),
    secureContext: context,
    rejectUnauthorized: verification.kind === 'ca',
  });
  try {
    await opened(secure, 'secureConnect', server, calling);
    if (verification.kind === 'dane') {
      const because = verification.check(chainOf(secure));
      if (because !== null) throw mailServerFailure('upstream.tls', server, because);
    }
    return secure;
  } catch (error) {
    secure.destroy();
    socket.destroy();
    throw error;
  }
}

/** The server's certificate and, as far as it has shown them, those of its issuers. */
function chainOf(secure: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = secure.getPeerX509Certificate();
  while (next !== undefined && chain.length < CHAIN) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

/** Certificates of one server that are looked at. */
const CHAIN = 10;

function opened<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  server: MailServer,
  { timeoutMs, signal }: Calling,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const abandon = (): void => {
      socket.destroy();
    };
    const timer = setTimeout(() => socket.destroy(new Error('no connection in time')), timeoutMs);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abandon);
      socket.off('close', closed);
    };
    const failed = (error: Error): void => {
      settle();
      reject(failure(server, error));
    };
    const closed = (): void => failed(new Error('it closed the connection'));
    // Stays: an error before the next listener is there must not be nobody's.
    socket.on('error', failed);
    socket.once('close', closed);
    signal?.addEventListener('abort', abandon);
    if (signal?.aborted === true) abandon();
    socket.once(event, () => {
      settle();
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 60_000);
      resolve(socket);
    });
  });
}

/** OpenSSL's and Node's certificate errors have codes of their own; a system call's has `syscall`. */
function failure(server: MailServer, error: Error & { code?: string; syscall?: string }): SealgateError {
  const ofTls = error.code !== undefined && error.syscall === undefined;
  return mailServerFailure(ofTls ? 'upstream.tls' : 'upstream.unreachable', server, error.message, error);
}
