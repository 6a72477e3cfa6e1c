import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type ProxiedConnection, type ProxyVersion, proxyHeader } from '../connections/write-proxy-header.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { NOT_TOLD, readCapabilities, type UpstreamCapabilities } from './capability.ts';
import { Leg } from './leg.ts';
import { Replies } from './replies.ts';
import { cleanStatus } from './reply-text.ts';

/** The mail server behind the gateway. */
export type Pop3Upstream = {
  host: string;
  port: number;
  tls: 'implicit' | 'starttls' | 'none';
  /** Name the certificate must have; `host` without it. */
  servername?: string;
  /** Anchors for the certificate, PEM; the system's without them. */
  ca?: string | Buffer | readonly (string | Buffer)[];
  /** Says in a PROXY header whose connection it is. */
  proxyProtocol?: 'none' | ProxyVersion;
  /** Tells the client's address by XCLIENT, where the server offers it. */
  tellClientAddress?: boolean;
};

export type UpstreamConnection = { replies: Replies; capabilities: UpstreamCapabilities };

/**
 * Connects, with TLS as configured, up to the point where a client can log in.
 *
 * Must never happen: anything said before TLS outliving it (RFC 2595 §4: an attacker may have said it); a connection without the
 * TLS that is configured. What the server greets with, a timestamp for APOP (RFC 1939 §7) included, is not the client's affair.
 *
 * @param from whose connection it is; null: our own
 * @param signal the client has gone, nobody needs the connection any more
 * @throws SealgateError `upstream.unreachable`, `upstream.refused` (temporary)
 */
export async function connectUpstream(
  upstream: Pop3Upstream,
  from: ProxiedConnection | null,
  signal: AbortSignal,
): Promise<UpstreamConnection> {
  let replies = new Replies(new Leg(await openProxied(upstream, from, signal)));
  const abandon = (): void => replies.leg.destroy();
  signal.addEventListener('abort', abandon);
  const timer = setTimeout(abandon, limits.pop3.upstreamConnectTimeoutMs);
  try {
    await expectOk(replies, upstream, 'it does not greet with +OK');
    if (upstream.tls === 'starttls') replies = await startTls(replies, upstream, signal);
    let capabilities = await askCapabilities(replies, upstream);
    if (upstream.tellClientAddress === true && from !== null && capabilities.list.has('XCLIENT')) {
      await tellClient(replies, upstream, from);
      capabilities = await askCapabilities(replies, upstream);
    }
    return { replies, capabilities };
  } catch (error) {
    replies.leg.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abandon);
  }
}

async function expectOk(replies: Replies, upstream: Pop3Upstream, otherwise: string): Promise<void> {
  const status = await replies.status();
  if (status === null) throw unreachableUpstream(upstream, replies.leg.cause);
  if (status.kind !== 'ok') throw refused(upstream, `${otherwise} (${cleanStatus(status.text, true)})`);
}

async function startTls(replies: Replies, upstream: Pop3Upstream, signal: AbortSignal): Promise<Replies> {
  if (replies.buffered > 0) throw refused(upstream, 'it says more than its greeting before TLS');
  replies.leg.write('STLS\r\n');
  await expectOk(replies, upstream, 'it does not start TLS');
  if (replies.buffered > 0) throw refused(upstream, 'it sent something between its +OK and TLS');
  return new Replies(new Leg(await openTls(upstream, replies.leg.release(), signal)));
}

async function askCapabilities(replies: Replies, upstream: Pop3Upstream): Promise<UpstreamCapabilities> {
  if (replies.buffered > 0) throw refused(upstream, 'it says something that nobody asked for');
  replies.leg.write('CAPA\r\n');
  const status = await replies.status();
  if (status === null) throw unreachableUpstream(upstream, replies.leg.cause);
  if (status.kind !== 'ok') return NOT_TOLD;
  const lines = await replies.lines(limits.pop3.capabilityOctets);
  if (lines === null) throw refused(upstream, 'its capabilities do not end');
  return readCapabilities(lines);
}

/** Dovecot's XCLIENT for POP3: the answer is a new greeting. A refusal changes nothing. */
async function tellClient(
  replies: Replies,
  upstream: Pop3Upstream,
  { source }: ProxiedConnection,
): Promise<void> {
  const address = isIP(source.address) === 6 ? `IPV6:${source.address}` : source.address;
  replies.leg.write(`XCLIENT ADDR=${address} PORT=${source.port}\r\n`);
  if ((await replies.status()) === null) throw unreachableUpstream(upstream, replies.leg.cause);
}

/** A PROXY header comes first, before TLS. */
async function openProxied(
  upstream: Pop3Upstream,
  from: ProxiedConnection | null,
  signal: AbortSignal,
): Promise<Socket> {
  const { host, port, tls, proxyProtocol = 'none' } = upstream;
  const socket = await opened(connect({ host, port }), 'connect', upstream, signal);
  if (proxyProtocol !== 'none') socket.write(proxyHeader(proxyProtocol, from));
  return tls === 'implicit' ? await openTls(upstream, socket, signal) : socket;
}

function openTls(upstream: Pop3Upstream, socket: Socket, signal: AbortSignal): Promise<Socket> {
  const name = upstream.servername ?? upstream.host;
  const secure = connectTls({
    socket,
    // A name is what is asked for (SNI) and checked; an address is only checked.
    ...(isIP(name) === 0 ? { servername: name } : { host: name }),
    ...(upstream.ca === undefined ? {} : { ca: upstream.ca as string | Buffer | (string | Buffer)[] }),
    minVersion: 'TLSv1.2',
  });
  return opened<TLSSocket>(secure, 'secureConnect', upstream, signal);
}

function opened<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  upstream: Pop3Upstream,
  signal: AbortSignal,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const abandon = (): void => {
      socket.destroy();
    };
    const timer = setTimeout(abandon, limits.pop3.upstreamConnectTimeoutMs);
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abandon);
    };
    const failed = (error?: Error): void => {
      settle();
      reject(unreachableUpstream(upstream, error?.message ?? 'closed'));
    };
    const closed = (): void => failed();
    socket.once('error', failed);
    socket.once('close', closed);
    signal.addEventListener('abort', abandon);
    if (signal.aborted) abandon();
    socket.once(event, () => {
      settle();
      socket.off('error', failed);
      socket.off('close', closed);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 60_000);
      resolve(socket);
    });
  });
}

function unreachableUpstream({ host, port }: Pop3Upstream, reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.unreachable',
    publicText: `The POP3 server ${host}:${port} cannot be reached. Check its address, its certificate and whether it runs.`,
    duration: 'temporary',
    reason,
  });
}

function refused({ host, port }: Pop3Upstream, reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.refused',
    publicText: `The POP3 server ${host}:${port} cannot be used for now. Check its address and the TLS setting.`,
    duration: 'temporary',
    reason,
  });
}
