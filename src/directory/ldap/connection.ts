import { connect, isIP, type Socket } from 'node:net';
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  type SecureContext,
} from 'node:tls';
import { isLoopback } from '../../connections/loopback.ts';
import { SealgateError } from '../../errors.ts';
import { startTls } from './start-tls.ts';

/** A server of an LDAP directory. */
export type LdapServer = {
  /** `host:port`, for people. */
  name: string;
  host: string;
  port: number;
  /** `starttls`: on the port for connections in the clear (RFC 4513 §3). */
  tls: 'implicit' | 'starttls' | 'none';
};

export type LdapTls = {
  context: SecureContext;
  /** Name that certificates must carry; null: that of each server. */
  serverName: string | null;
};

/** @param ca PEM of the only authorities that count; null: the system's */
export function ldapTls(ca: string | null, serverName: string | null): LdapTls {
  return {
    context: createSecureContext({ minVersion: 'TLSv1.2', ...(ca === null ? {} : { ca }) }),
    serverName,
  };
}

/**
 * Connects, with the TLS that is configured and the server's name verified; no octet of LDAP but StartTLS goes out before.
 *
 * @param signal aborted: nobody waits any longer
 * @throws SealgateError `directory.ldap-unreachable`, `directory.ldap-tls`, `directory.ldap-answer` (temporary)
 */
export async function connectLdap(
  server: LdapServer,
  { tls, allowPlaintext, signal }: { tls: LdapTls; allowPlaintext: boolean; signal: AbortSignal },
): Promise<Socket> {
  const { host, port } = server;
  const raw = await opened(connect({ host, port, noDelay: true }), 'connect', signal);
  try {
    if (server.tls === 'none') {
      if (allowPlaintext || isLoopback(raw.remoteAddress ?? '')) return raw;
      throw failure('directory.ldap-tls', 'without TLS, and it is not this machine');
    }
    if (server.tls === 'starttls') await startTls(raw, signal);
    const name = tls.serverName ?? host;
    const secure = connectTls({
      socket: raw,
      // A name is what is asked for (SNI) and checked; an address is only checked.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      secureContext: tls.context,
      rejectUnauthorized: true,
      checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
    });
    return await opened(secure, 'secureConnect', signal);
  } catch (error) {
    raw.destroy();
    throw error;
  }
}

function opened<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      signal.removeEventListener('abort', abandon);
      socket.off('close', closed);
    };
    const failed = (error: Error) => {
      settle();
      socket.destroy();
      reject(error instanceof SealgateError ? error : connectionFailure(error));
    };
    const closed = () => failed(new Error('it closed the connection'));
    const abandon = () => failed(failure('directory.ldap-unreachable', 'no connection in time'));
    // Stays: an error before the next listener is there must not be nobody's.
    socket.on('error', failed);
    socket.once('close', closed);
    signal.addEventListener('abort', abandon);
    if (signal.aborted) abandon();
    socket.once(event, () => {
      settle();
      resolve(socket);
    });
  });
}

/** OpenSSL's and Node's certificate errors have codes of their own; a system call's has `syscall`. */
function connectionFailure(error: Error & { code?: string; syscall?: string }): SealgateError {
  const ofTls = error.code !== undefined && error.syscall === undefined;
  return failure(ofTls ? 'directory.ldap-tls' : 'directory.ldap-unreachable', error.message, error);
}

const TEXTS = {
  'directory.ldap-unreachable': 'The directory server cannot be reached.',
  'directory.ldap-tls': 'The directory server could not be reached securely.',
} as const;

function failure(code: keyof typeof TEXTS, reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    ...{ code, publicText: TEXTS[code], duration: 'temporary', reason },
    ...(cause === undefined ? {} : { cause }),
  });
}
