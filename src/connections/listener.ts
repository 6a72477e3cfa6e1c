import type { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { ClientConnection } from './client-connection.ts';
import type { FailedLogins } from './failed-logins.ts';
import { secured } from './handshake.ts';
import { type ListenOptions, listen } from './listen.ts';
import type { MailServerOptions } from './mail-server.ts';

/** What a listener of any protocol is told of its connections. */
export type ListenerOptions = {
  /** Name in the configuration; for log lines and errors. */
  name: string;
  host: string;
  /** 0: the system chooses. */
  port: number;
  tls: 'implicit' | 'starttls' | 'none';
  /** Needed unless `tls` is `none`. */
  secureContext?: SecureContext;
  upstream: MailServerOptions;
  log: Log;
  /** What the gateway calls itself. */
  hostname: string;
  /** Connections at a time. Default 1000. */
  maxConnections?: number;
  /** Connections of one address, or one /64 of IPv6, at a time. Default: as many as in all. */
  maxConnectionsPerAddress?: number;
  /** Addresses and ranges whose clients are not bounded by their address. Default: none. */
  unlimitedNetworks?: readonly string[];
  /** Those of all listeners; default: this one's own. */
  failedLogins?: FailedLogins;
  /** Load balancers that begin with a PROXY header; default: none, and clients come by themselves. */
  proxyProtocolFrom?: readonly string[];
  /** Logins without TLS, from other machines too. Default false. */
  allowPlainAuth?: boolean;
};

export type Listener = { port: number; close(): Promise<void> };

/** Clients served at once, where nothing else is said. */
export const MAX_CONNECTIONS = 1_000;

/**
 * Takes connections until it is closed, which ends those that are there. Resolves when connections are taken.
 *
 * @param serve serves one client to its end; never rejects
 * @param tooMany last words to one that is too many; it is only heard without TLS from the first octet
 *
 * Throws SealgateError `listener.no-certificate` and what `listen` throws.
 */
export async function startListener(
  options: ListenerOptions,
  serve: (client: ClientConnection) => Promise<void>,
  tooMany: string,
): Promise<Listener> {
  const { name, host, port, tls, log, maxConnections = MAX_CONNECTIONS, proxyProtocolFrom = [] } = options;
  if (tls !== 'none' && options.secureContext === undefined) throw noCertificate(options);
  const listening = await listen({
    ...{ name, host, port, log, maxConnections, proxyProtocolFrom, serve },
    ...addressLimits(options),
    ...(tls === 'implicit' ? {} : { tooMany }),
  });
  return {
    port: listening.port,
    async close() {
      const stopped = listening.stop();
      listening.destroy();
      await stopped;
    },
  };
}

/** What is passed on to `listen`. */
export function addressLimits(
  options: ListenerOptions,
): Pick<ListenOptions, 'maxConnectionsPerAddress' | 'unlimitedNetworks' | 'failedLogins'> {
  const { maxConnectionsPerAddress, unlimitedNetworks, failedLogins } = options;
  return {
    ...(maxConnectionsPerAddress === undefined ? {} : { maxConnectionsPerAddress }),
    ...(unlimitedNetworks === undefined ? {} : { unlimitedNetworks }),
    ...(failedLogins === undefined ? {} : { failedLogins }),
  };
}

/** The TLS side of a client's connection, as soon as there is a place for its handshake. Throws SealgateError `listener.handshake`. */
export function overTls(
  options: ListenerOptions,
  { guard }: ClientConnection,
  socket: Socket,
  timeoutMs: number,
): Promise<TLSSocket> {
  const { secureContext } = options;
  if (secureContext === undefined) throw noCertificate(options);
  return guard.handshake(() => secured(socket, secureContext, timeoutMs));
}

/** Whether a password may come without TLS: a listener without TLS serves its own machine; `allowPlainAuth` lifts that. */
export function plainLoginAllowed(
  { tls, allowPlainAuth }: ListenerOptions,
  { fromHere }: ClientConnection,
): boolean {
  return allowPlainAuth === true || (tls === 'none' && fromHere);
}

function noCertificate({ name }: ListenerOptions): SealgateError {
  return new SealgateError({
    code: 'listener.no-certificate',
    publicText: `The listener "${name}" offers TLS but has no certificate. Name a certificate and its key.`,
    duration: 'permanent',
  });
}
