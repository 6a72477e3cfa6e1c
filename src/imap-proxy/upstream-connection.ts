import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { Endpoint } from '../connections/endpoint.ts';
import { type ProxiedConnection, type ProxyVersion, proxyHeader } from '../connections/write-proxy-header.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { readCapabilities } from './capability.ts';
import { capabilityList } from './server-line.ts';
import { Wire } from './wire.ts';

/** The mail server behind the gateway. */
export type ImapUpstream = {
  host: string;
  port: number;
  tls: 'implicit' | 'starttls' | 'none';
  /** Name the certificate must have; `host` without it. */
  servername?: string;
  /** Anchors for the certificate, PEM; the system's without them. */
  ca?: string | Buffer | readonly (string | Buffer)[];
  /** Says in a PROXY header whose connection it is. */
  proxyProtocol?: 'none' | ProxyVersion;
  /** Says it in an ID before login, to a server that trusts the gateway with that. */
  tellClientAddress?: boolean;
};

export type UpstreamConnection = {
  wire: Wire;
  /** Upper case. */
  capabilities: Set<string>;
};

const CONNECT_MS = 15_000;

/**
 * Connects, with TLS as configured, up to the point where a client can log in.
 *
 * Must never happen: anything said before TLS outliving it (RFC 9051 §11.1: an attacker may have said it); a server that
 * says PREAUTH, for whom nobody has logged in; a connection without the TLS that is configured.
 *
 * @param from whose connection it is; null: our own
 * @param signal the client has gone, nobody needs the connection any more
 *
 * Throws SealgateError `upstream.unreachable`, `upstream.refused` (temporary).
 */
export async function connectUpstream(
  upstream: ImapUpstream,
  from: ProxiedConnection | null,
  signal: AbortSignal,
): Promise<UpstreamConnection> {
  const socket = await openProxied(upstream, from, signal);
  let wire = new Wire(socket, 'server', limits.imap.upstreamLineOctets);
  const abandon = (): void => wire.destroy();
  signal.addEventListener('abort', abandon);
  const timer = setTimeout(() => wire.destroy(), CONNECT_MS);
  try {
    let told = await greeting(wire, upstream);
    if (upstream.tls === 'starttls') {
      wire = await startTls(wire, upstream, signal);
      told = null;
    }
    const capabilities = told ?? (await askCapabilities(wire, upstream));
    if (upstream.tellClientAddress === true && from !== null && capabilities.has('ID')) {
      await tellAddress(wire, upstream, from);
    }
    return { wire, capabilities };
  } catch (error) {
    wire.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abandon);
  }
}

/** With a PROXY header it comes first, before TLS. */
async function openProxied(
  upstream: ImapUpstream,
  from: ProxiedConnection | null,
  signal: AbortSignal,
): Promise<Socket> {
  const { tls, proxyProtocol = 'none' } = upstream;
  if (proxyProtocol === 'none' && tls === 'implicit') return await openTls(upstream, null, signal);
  const socket = await openPlain(upstream, signal);
  if (proxyProtocol !== 'none') socket.write(proxyHeader(proxyProtocol, from));
  return tls === 'implicit' ? await openTls(upstream, socket, signal) : socket;
}

async function greeting(wire: Wire, upstream: ImapUpstream): Promise<Set<string> | null> {
  const line = await nextLine(wire, upstream);
  const text = line.toString('latin1', 0, line.length - 2);
  if (/^\* OK(?: |$)/i.test(text)) {
    const list = capabilityList(line);
    return list === null ? null : readCapabilities(list.join(' '));
  }
  if (/^\* PREAUTH(?: |$)/i.test(text))
    throw refused(upstream, 'it greets with PREAUTH, so that nobody logs in');
  throw refused(upstream, 'it does not greet with OK');
}

async function startTls(wire: Wire, upstream: ImapUpstream, signal: AbortSignal): Promise<Wire> {
  wire.write('S1 STARTTLS\r\n');
  for (;;) {
    const line = await nextLine(wire, upstream);
    const text = line.toString('latin1');
    if (/^\* CAPABILITY /i.test(text)) continue;
    if (!/^S1 OK(?: |\r)/i.test(text)) throw refused(upstream, 'it does not start TLS');
    break;
  }
  if (wire.buffered > 0) throw refused(upstream, 'it sent something between its OK and TLS');
  return new Wire(await openTls(upstream, wire.release(), signal), 'server', limits.imap.upstreamLineOctets);
}

async function askCapabilities(wire: Wire, upstream: ImapUpstream): Promise<Set<string>> {
  wire.write('S2 CAPABILITY\r\n');
  let found: string[] | null = null;
  for (;;) {
    const line = await nextLine(wire, upstream);
    if (/^S2 OK(?: |\r)/i.test(line.toString('latin1', 0, 8))) break;
    if (line[0] !== 0x2a) throw refused(upstream, 'it does not tell its capabilities');
    found = capabilityList(line) ?? found;
  }
  return readCapabilities((found ?? []).join(' '));
}

/** The fields that Dovecot believes of its `login_trusted_networks`; whoever does not know them passes over them (RFC 2971 §3.1). */
async function tellAddress(
  wire: Wire,
  upstream: ImapUpstream,
  { source, destination }: ProxiedConnection,
): Promise<void> {
  const fields = [
    ['x-originating-ip', withoutZone(source)],
    ['x-originating-port', source.port],
    ['x-connected-ip', withoutZone(destination)],
    ['x-connected-port', destination.port],
  ];
  wire.write(`S3 ID (${fields.map(([name, value]) => `"${name}" "${value}"`).join(' ')})\r\n`);
  for (;;) {
    const line = await nextLine(wire, upstream);
    if (/^S3 (?:OK|NO|BAD)(?: |\r)/i.test(line.toString('latin1', 0, 8))) return;
    if (line[0] !== 0x2a) throw refused(upstream, 'it does not answer ID');
  }
}

function withoutZone({ address }: Endpoint): string {
  return address.split('%')[0] ?? '';
}

async function nextLine(wire: Wire, upstream: ImapUpstream): Promise<Buffer> {
  const event = await wire.next();
  if (event === null) throw unreachableUpstream(upstream, wire.cause);
  if (event.type !== 'line' || event.literal !== null)
    throw refused(upstream, 'it sent a literal before login');
  return event.octets;
}

function openPlain(upstream: ImapUpstream, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host: upstream.host, port: upstream.port });
  return opened(socket, 'connect', upstream, signal);
}

function openTls(upstream: ImapUpstream, socket: Socket | null, signal: AbortSignal): Promise<Socket> {
  const name = upstream.servername ?? upstream.host;
  const secure = connectTls({
    ...(socket === null ? { host: upstream.host, port: upstream.port } : { socket }),
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(isIP(name) === 0 ? {} : { host: name }),
    secureContext: contextFor(upstream),
  });
  return opened<TLSSocket>(secure, 'secureConnect', upstream, signal);
}

/** One for all connections to a server: each takes 27 KB. */
const contexts = new WeakMap<ImapUpstream, SecureContext>();

function contextFor(upstream: ImapUpstream): SecureContext {
  const known = contexts.get(upstream);
  if (known !== undefined) return known;
  const ca = upstream.ca as string | Buffer | (string | Buffer)[] | undefined;
  const context = createSecureContext({ minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) });
  contexts.set(upstream, context);
  return context;
}

function opened<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  upstream: ImapUpstream,
  signal: AbortSignal,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const abandon = (): void => {
      socket.destroy();
    };
    signal.addEventListener('abort', abandon);
    if (signal.aborted) abandon();
    const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), CONNECT_MS);
    const failed = (error?: Error): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abandon);
      reject(unreachableUpstream(upstream, error?.message ?? 'closed'));
    };
    const closed = (): void => failed();
    socket.once('error', failed);
    socket.once('close', closed);
    socket.once(event, () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abandon);
      socket.off('error', failed);
      socket.off('close', closed);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 60_000);
      resolve(socket);
    });
  });
}

function unreachableUpstream(upstream: ImapUpstream, reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.unreachable',
    publicText: `The IMAP server ${upstream.host}:${upstream.port} cannot be reached. Check its address, its certificate and whether it runs.`,
    duration: 'temporary',
    reason,
  });
}

function refused(upstream: ImapUpstream, reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.refused',
    publicText: `The IMAP server ${upstream.host}:${upstream.port} cannot be used: ${reason}. Check its address and the TLS setting.`,
    duration: 'temporary',
    reason,
  });
}
