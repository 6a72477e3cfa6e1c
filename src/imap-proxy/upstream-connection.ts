import { type Calling, call, callSecurely } from '../connections/call.ts';
import type { Endpoint } from '../connections/endpoint.ts';
import { type MailServer, mailServerFailure } from '../connections/mail-server.ts';
import type { ProxiedConnection } from '../connections/write-proxy-header.ts';
import type { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { readCapabilities } from './capability.ts';
import { capabilityList } from './server-line.ts';
import { Wire } from './wire.ts';

export type UpstreamConnection = {
  wire: Wire;
  /** Upper case. */
  capabilities: Set<string>;
};

/**
 * Connects, with TLS as configured, up to the point where a client can log in.
 *
 * Must never happen: anything said before TLS outliving it (RFC 9051 §11.1: an attacker may have said it); a server that
 * says PREAUTH, for whom nobody has logged in; a connection without the TLS that is configured.
 *
 * @param from whose connection it is; null: our own
 * @param signal the client has gone, nobody needs the connection any more
 *
 * Throws SealgateError `upstream.unreachable`, `upstream.tls`, `upstream.plaintext`, `upstream.refused` (temporary).
 */
export async function connectUpstream(
  upstream: MailServer,
  from: ProxiedConnection | null,
  signal: AbortSignal,
): Promise<UpstreamConnection> {
  const { tls, tellClientAddress } = upstream.options;
  const timeoutMs = limits.imap.upstreamConnectTimeoutMs;
  const calling: Calling = { from, timeoutMs, signal };
  let wire = new Wire(await call(upstream, calling), 'server', limits.imap.upstreamLineOctets);
  const abandon = (): void => wire.destroy();
  signal.addEventListener('abort', abandon);
  const timer = setTimeout(() => wire.destroy(), timeoutMs);
  try {
    let told = await greeting(wire, upstream);
    if (tls === 'starttls') {
      wire = await startTls(wire, upstream, calling);
      told = null;
    }
    const capabilities = told ?? (await askCapabilities(wire, upstream));
    if (tellClientAddress === true && from !== null && capabilities.has('ID')) {
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

async function greeting(wire: Wire, upstream: MailServer): Promise<Set<string> | null> {
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

async function startTls(wire: Wire, upstream: MailServer, calling: Calling): Promise<Wire> {
  wire.write('S1 STARTTLS\r\n');
  for (;;) {
    const line = await nextLine(wire, upstream);
    const text = line.toString('latin1');
    if (/^\* CAPABILITY /i.test(text)) continue;
    if (!/^S1 OK(?: |\r)/i.test(text)) throw refused(upstream, 'it does not start TLS');
    break;
  }
  if (wire.buffered > 0) throw refused(upstream, 'it sent something between its OK and TLS');
  const secure = await callSecurely(upstream, wire.release(), calling);
  return new Wire(secure, 'server', limits.imap.upstreamLineOctets);
}

async function askCapabilities(wire: Wire, upstream: MailServer): Promise<Set<string>> {
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
  upstream: MailServer,
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

async function nextLine(wire: Wire, upstream: MailServer): Promise<Buffer> {
  const event = await wire.next();
  if (event === null) throw mailServerFailure('upstream.unreachable', upstream, wire.cause);
  if (event.type !== 'line' || event.literal !== null)
    throw refused(upstream, 'it sent a literal before login');
  return event.octets;
}

function refused(upstream: MailServer, reason: string): SealgateError {
  return mailServerFailure('upstream.refused', upstream, reason);
}
