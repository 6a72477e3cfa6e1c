import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { SealgateError } from '../errors.ts';
import { newMailId, newSessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { OutboundStory } from '../pipeline/ports.ts';
import { formatReply, reply } from '../smtp/reply.ts';
import { connectUpstream, prepareUpstream, type UpstreamOptions } from '../smtp-out/connect.ts';
import { type Served, serveClient, type Timeouts } from './client-socket.ts';
import type { SessionPorts } from './conversation.ts';

export type SubmissionListenerOptions = {
  /** In log lines and errors. */
  name: string;
  host: string;
  /** 0: the system chooses one. */
  port: number;
  tls: 'implicit' | 'starttls' | 'none';
  /** Needed unless `tls` is `none`. PEM: certificate with chain, private key. */
  tlsMaterial?: { cert: string | Buffer; key: string | Buffer; passphrase?: string };
  /** In place of `tlsMaterial`, where the context is made elsewhere. */
  secureContext?: SecureContext;
  upstream: UpstreamOptions;
  story: OutboundStory;
  log: Log;
  /** What the gateway calls itself in its greeting and to the upstream. */
  hostname: string;
  /** Default: limits.messageOctets, which is also the most. */
  maxMessageOctets?: number;
  /** Logins without TLS, from other machines too. Default false. */
  allowPlainAuth?: boolean;
  /** Clients of this machine need no AUTH and are this login. */
  assumeLogin?: string;
  /** Clients served at once. Default 1000. */
  maxConnections?: number;
  /** Milliseconds; default: limits.smtp. `command`: silence of a client; `beforeAuth`: from connecting to the login. */
  timeouts?: Partial<Timeouts>;
};

export type SubmissionListener = {
  port: number;
  /**
   * Takes no more clients, ends the sessions with 421, and resolves when all connections are closed. A message that is being handed
   * over is waited for, limits.smtp.closeTimeoutMs at most; after that it goes on without its client.
   */
  close(): Promise<void>;
};

/**
 * Listens for mail clients and serves each with a session and an upstream connection of its own.
 *
 * Throws SealgateError: `listener.port-in-use`, `listener.address`, `listener.tls`, `upstream.ca-file`.
 */
export async function startSubmissionListener(
  options: SubmissionListenerOptions,
): Promise<SubmissionListener> {
  const context = contextOf(options);
  const target = await prepareUpstream(options.upstream);
  const ports: SessionPorts = {
    settings: {
      listener: options.name,
      hostname: options.hostname,
      tls: options.tls,
      maxMessageOctets: Math.min(options.maxMessageOctets ?? limits.messageOctets, limits.messageOctets),
      allowPlainAuth: options.allowPlainAuth ?? false,
      assumeLogin: options.assumeLogin ?? null,
    },
    story: options.story,
    log: options.log,
    openUpstream: () => connectUpstream(target, options.hostname),
    newMailId,
  };
  const timeouts: Timeouts = {
    command: options.timeouts?.command ?? limits.smtp.commandTimeoutMs,
    beforeAuth: options.timeouts?.beforeAuth ?? limits.smtp.beforeAuthTimeoutMs,
  };
  const served = new Set<Served>();
  const maxConnections = options.maxConnections ?? 1_000;
  // TLS begins in client-socket.ts, implicit or not: those who are too many are told before a handshake is spent on them.
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    if (served.size >= maxConnections) {
      turnAway(socket, options.tls);
      return;
    }
    const client = serveClient(socket, context, ports, newSessionId(), timeouts);
    served.add(client);
    void client.closed.then(() => served.delete(client));
  });
  const port = await listen(server, options);
  return {
    port,
    close: async () => {
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const client of served) client.shutDown();
      await stopped;
    },
  };
}

function turnAway(socket: Socket, tls: SubmissionListenerOptions['tls']): void {
  socket.on('error', () => socket.destroy());
  if (tls === 'implicit') socket.destroy();
  else
    socket.end(formatReply(reply(421, '4.7.0', 'Too many connections; try again later')), () =>
      socket.destroy(),
    );
}

function contextOf(options: SubmissionListenerOptions): SecureContext | null {
  if (options.tls === 'none') return null;
  if (options.secureContext !== undefined) return options.secureContext;
  try {
    if (options.tlsMaterial === undefined) throw new Error('there is no certificate');
    return createSecureContext({ ...options.tlsMaterial, minVersion: 'TLSv1.2' });
  } catch (cause) {
    throw new SealgateError({
      code: 'listener.tls',
      publicText: `The TLS certificate and key of the listener ${options.name} cannot be used; give a PEM certificate and the private key that belongs to it.`,
      duration: 'permanent',
      reason: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

function listen(server: Server, options: SubmissionListenerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenFailure(options, cause)));
    server.listen({ host: options.host, port: options.port }, () => {
      const address = server.address();
      server.on('error', (error) =>
        options.log.write({
          event: 'gateway.defect',
          level: 'error',
          where: `listener ${options.name}`,
          error: error.message,
        }),
      );
      resolve(address !== null && typeof address === 'object' ? address.port : options.port);
    });
  });
}

function listenFailure(options: SubmissionListenerOptions, cause: NodeJS.ErrnoException): SealgateError {
  const place = `${options.host}:${options.port}`;
  const [code, text] =
    cause.code === 'EADDRINUSE'
      ? ['listener.port-in-use', `another program listens on ${place}; stop it or choose another port`]
      : cause.code === 'EACCES'
        ? [
            'listener.address',
            `the system does not allow to listen on ${place}; choose a port above 1023 or grant the right`,
          ]
        : ['listener.address', `it is not possible to listen on ${place}; give an address of this machine`];
  return new SealgateError({
    code,
    publicText: `The listener ${options.name} cannot start: ${text}.`,
    duration: 'permanent',
    reason: cause.message,
    cause,
  });
}
