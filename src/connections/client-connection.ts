import type { Socket } from 'node:net';
import { limits } from '../limits.ts';
import type { ClientGuard } from './client-guard.ts';
import { type Endpoint, localOf, remoteOf } from './endpoint.ts';
import { isLoopback } from './loopback.ts';
import { type ProxyReading, readProxyHeader } from './proxy-header.ts';

/** A client that has been let in. */
export type ClientConnection = {
  /** Nothing of what the client has said is taken from it yet. */
  socket: Socket;
  /** The client's end: with the PROXY protocol the one that the balancer told. */
  remote: Endpoint;
  /** Whose end that is: a balancer that tells nothing of its client leaves its own. */
  remoteIs: 'client' | 'balancer';
  /** The end that it connected to. */
  local: Endpoint;
  /**
   * Whether the client is on this machine by the system's own word. Nobody behind a balancer is, whatever its header says or leaves out:
   * the balancer may be here.
   */
  fromHere: boolean;
  guard: ClientGuard;
};

/** Before it is known what bounds it. */
export type ArrivedClient = Omit<ClientConnection, 'guard'>;

export type Arrival =
  | { kind: 'client'; client: ArrivedClient }
  /** It said nothing at all, as the health checks of many balancers do. */
  | { kind: 'gone' }
  | { kind: 'refused'; reason: string };

export function directClient(socket: Socket): ArrivedClient {
  const remote = remoteOf(socket);
  const fromHere = isLoopback(remote.address);
  return { socket, remote, remoteIs: 'client', local: localOf(socket), fromHere };
}

/**
 * Takes the PROXY header off a connection of a balancer: it comes first, before TLS and before anything is said. What is
 * behind it stays in the socket. Never throws; the socket must have an error listener.
 */
export function proxiedClient(socket: Socket): Promise<Arrival> {
  return new Promise((resolve) => {
    let octets: Buffer = Buffer.alloc(0);
    const settle = (arrival: Arrival): void => {
      clearTimeout(timer);
      socket.off('readable', readable);
      socket.off('end', ended);
      socket.off('close', ended);
      resolve(arrival);
    };
    const judge = (reading: Exclude<ProxyReading, { kind: 'more' }>): void => {
      if (reading.kind === 'malformed') {
        settle({ kind: 'refused', reason: reading.reason });
        return;
      }
      const rest = octets.subarray(reading.octets);
      const { header } = reading;
      const [remote, local] =
        header.kind === 'own' ? [remoteOf(socket), localOf(socket)] : [header.source, header.destination];
      const remoteIs = header.kind === 'own' ? 'balancer' : 'client';
      settle({ kind: 'client', client: { socket, remote, remoteIs, local, fromHere: false } });
      if (rest.length > 0) socket.unshift(rest);
    };
    // `readable` and not `data`: without its listener the socket is as new, and the next one's `data` begins by itself.
    const readable = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      octets = octets.length === 0 ? chunk : Buffer.concat([octets, chunk]);
      const reading = readProxyHeader(octets);
      if (reading.kind !== 'more') judge(reading);
    };
    const ended = (): void =>
      settle(
        octets.length === 0
          ? { kind: 'gone' }
          : { kind: 'refused', reason: 'it ended in the middle of its PROXY header' },
      );
    const timer = setTimeout(
      () => settle({ kind: 'refused', reason: 'its PROXY header did not come in time' }),
      limits.connections.proxyHeaderTimeoutMs,
    );
    socket.on('readable', readable);
    socket.on('end', ended);
    socket.on('close', ended);
  });
}
