import { createServer, type Server, type Socket } from 'node:net';
import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import { AddressRanges } from './address-range.ts';
import {
  type ArrivedClient,
  type ClientConnection,
  directClient,
  proxiedClient,
} from './client-connection.ts';
import { guardOf, UNGUARDED } from './client-guard.ts';
import { ClientPlaces } from './client-places.ts';
import { remoteOf } from './endpoint.ts';
import { FailedLogins } from './failed-logins.ts';
import { HandshakePlaces } from './handshake-places.ts';

export type ListenOptions = {
  /** Name in the configuration; for log lines and errors. */
  name: string;
  host: string;
  /** 0: the system chooses. */
  port: number;
  /** Connections at a time. */
  maxConnections: number;
  /** Load balancers whose connections begin with a PROXY header, addresses or `address/prefix`. With some, nobody else is let in. */
  proxyProtocolFrom: readonly string[];
  /** Connections of one address, or one /64 of IPv6, at a time. Default: `maxConnections`. */
  maxConnectionsPerAddress?: number;
  /** Addresses and ranges whose clients are not bounded by their address. Default: none. */
  unlimitedNetworks?: readonly string[];
  /** Of all listeners together. Absent: of this one. */
  failedLogins?: FailedLogins;
  log: Log;
  /** Serves one client to its end. Never rejects. */
  serve(client: ClientConnection): Promise<void>;
  /** Last words to one that is too many, before it is closed. Absent: none. */
  tooMany?: string;
};

export type Listening = {
  port: number;
  /** Takes no more clients. Resolves when those that are there have ended and their connections are closed. */
  stop(): Promise<void>;
  /** Closes all connections at once. */
  destroy(): void;
};

/**
 * Takes connections, for every protocol alike. Resolves when connections are taken.
 *
 * Throws SealgateError `listener.port-in-use`, `listener.not-permitted`, `listener.address`.
 */
export async function listen(options: ListenOptions): Promise<Listening> {
  const { name, log, maxConnections, proxyProtocolFrom } = options;
  const balancers = proxyProtocolFrom.length === 0 ? null : new AddressRanges(proxyProtocolFrom);
  const { maxConnectionsPerAddress = maxConnections, unlimitedNetworks = [] } = options;
  const { failedLogins = new FailedLogins() } = options;
  const places = new ClientPlaces(maxConnectionsPerAddress, unlimitedNetworks, (remote) =>
    log.write({ event: 'listener.too-many-connections', level: 'warn', listener: name, remote }),
  );
  const handshakes = new HandshakePlaces();
  const open = new Set<Socket>();
  const serving = new Set<Promise<void>>();
  /** Connections of balancers whose header has not come: nobody serves them yet, who could end them. */
  const arriving = new Set<Socket>();
  let isStopped = false;
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) => {
    socket.on('error', ignored);
    // A client that has gone may have left work behind.
    if (Math.max(open.size, serving.size) >= maxConnections) return turnAway(socket, options.tooMany);
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    const served = (balancers === null ? admit(directClient(socket)) : arrive(socket, balancers)).finally(
      () => serving.delete(served),
    );
    serving.add(served);
  });

  /** With the PROXY protocol it is the client's own address that counts. */
  async function admit(client: ArrivedClient): Promise<void> {
    const { socket, remote } = client;
    const give = places.take(remote.address);
    if (give === null) return turnAway(socket, options.tooMany);
    const guard = places.isUnlimited(remote.address)
      ? UNGUARDED
      : guardOf(remote.address, handshakes, failedLogins);
    try {
      await options.serve({ ...client, guard });
    } finally {
      if (socket.destroyed) give();
      else socket.once('close', give);
    }
  }

  async function arrive(socket: Socket, from: AddressRanges): Promise<void> {
    const { address } = remoteOf(socket);
    // Reset before it was looked at, as the health checks of HAProxy are.
    if (address === '') return void socket.destroy();
    arriving.add(socket);
    const arrival = from.has(address)
      ? await proxiedClient(socket)
      : ({ kind: 'refused', reason: 'it is no load balancer of this listener' } as const);
    arriving.delete(socket);
    if (arrival.kind === 'client' && !isStopped) return await admit(arrival.client);
    socket.destroy();
    if (arrival.kind !== 'refused' || isStopped) return;
    log.write({
      event: 'listener.proxy-refused',
      level: 'warn',
      listener: name,
      remote: address,
      reason: arrival.reason,
    });
  }

  const port = await bound(server, options);
  server.on('error', (error) =>
    log.write({ event: 'gateway.defect', level: 'error', where: `listener ${name}`, error: error.message }),
  );
  return {
    port,
    async stop() {
      isStopped = true;
      for (const socket of arriving) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all(serving);
    },
    destroy() {
      for (const socket of open) socket.destroy();
    },
  };
}

/** For an error between two listeners, which must not be nobody's: Node closes the socket by itself. */
const ignored = (): void => undefined;

function turnAway(socket: Socket, lastWords: string | undefined): void {
  if (lastWords === undefined) socket.destroy();
  else socket.end(lastWords, () => socket.destroy());
}

function bound(server: Server, options: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException): void => reject(cannotListen(options, cause));
    server.once('error', failed);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', failed);
      const address = server.address();
      resolve(address !== null && typeof address === 'object' ? address.port : options.port);
    });
  });
}

function cannotListen({ name, host, port }: ListenOptions, cause: NodeJS.ErrnoException): SealgateError {
  const place = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const [code, why] = reasonOf(cause.code);
  return new SealgateError({
    code,
    publicText: `The listener "${name}" cannot listen on ${place}: ${why}`,
    duration: 'permanent',
    reason: cause.message,
    cause,
  });
}

function reasonOf(code: string | undefined): [code: string, why: string] {
  switch (code) {
    case 'EADDRINUSE':
      return [
        'listener.port-in-use',
        'another program listens on this port. Stop it, or choose another port.',
      ];
    case 'EACCES':
      return [
        'listener.not-permitted',
        'ports below 1024 need a privilege. Choose a port above 1023, or give CAP_NET_BIND_SERVICE.',
      ];
    default:
      return ['listener.address', 'this machine has no such address. Check the host of the listener.'];
  }
}
