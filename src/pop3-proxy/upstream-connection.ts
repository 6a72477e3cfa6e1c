import { isIP } from 'node:net';
import { type Calling, call, callSecurely } from '../connections/call.ts';
import { type MailServer, mailServerFailure } from '../connections/mail-server.ts';
import type { ProxiedConnection } from '../connections/write-proxy-header.ts';
import type { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { NOT_TOLD, readCapabilities, type UpstreamCapabilities } from './capability.ts';
import { Leg } from './leg.ts';
import { Replies } from './replies.ts';
import { cleanStatus } from './reply-text.ts';

export type UpstreamConnection = { replies: Replies; capabilities: UpstreamCapabilities };

/**
 * Connects, with TLS as configured, up to the point where a client can log in.
 *
 * Must never happen: anything said before TLS outliving it (RFC 2595 §4: an attacker may have said it); a connection without the
 * TLS that is configured. What the server greets with, a timestamp for APOP (RFC 1939 §7) included, is not the client's affair.
 *
 * @param from whose connection it is; null: our own
 * @param signal the client has gone, nobody needs the connection any more
 * @throws SealgateError `upstream.unreachable`, `upstream.tls`, `upstream.plaintext`, `upstream.refused` (temporary)
 */
export async function connectUpstream(
  upstream: MailServer,
  from: ProxiedConnection | null,
  signal: AbortSignal,
): Promise<UpstreamConnection> {
  const { tls, tellClientAddress } = upstream.options;
  const timeoutMs = limits.pop3.upstreamConnectTimeoutMs;
  const calling: Calling = { from, timeoutMs, signal };
  let replies = new Replies(new Leg(await call(upstream, calling)));
  const abandon = (): void => replies.leg.destroy();
  signal.addEventListener('abort', abandon);
  const timer = setTimeout(abandon, timeoutMs);
  try {
    const greeting = await expectOk(replies, upstream, 'it does not greet with +OK');
    if (tls === 'starttls') replies = await startTls(replies, upstream, calling);
    let capabilities = await askCapabilities(replies, upstream);
    const offered = capabilities.list.has('XCLIENT') || /^\[XCLIENT\]/.test(greeting);
    if (tellClientAddress === true && from !== null && offered) {
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

/** The text behind +OK. */
async function expectOk(replies: Replies, upstream: MailServer, otherwise: string): Promise<string> {
  const status = await replies.status();
  if (status === null) throw mailServerFailure('upstream.unreachable', upstream, replies.leg.cause);
  if (status.kind !== 'ok') throw refused(upstream, `${otherwise} (${cleanStatus(status.text, true)})`);
  return status.text.replace(/^\+OK ?/i, '');
}

async function startTls(replies: Replies, upstream: MailServer, calling: Calling): Promise<Replies> {
  if (replies.buffered > 0) throw refused(upstream, 'it says more than its greeting before TLS');
  replies.leg.write('STLS\r\n');
  await expectOk(replies, upstream, 'it does not start TLS');
  if (replies.buffered > 0) throw refused(upstream, 'it sent something between its +OK and TLS');
  return new Replies(new Leg(await callSecurely(upstream, replies.leg.release(), calling)));
}

async function askCapabilities(replies: Replies, upstream: MailServer): Promise<UpstreamCapabilities> {
  if (replies.buffered > 0) throw refused(upstream, 'it says something that nobody asked for');
  replies.leg.write('CAPA\r\n');
  const status = await replies.status();
  if (status === null) throw mailServerFailure('upstream.unreachable', upstream, replies.leg.cause);
  if (status.kind !== 'ok') return NOT_TOLD;
  const lines = await replies.lines(limits.pop3.capabilityOctets);
  if (lines === null) throw refused(upstream, 'its capabilities do not end');
  return readCapabilities(lines);
}

/** Dovecot's XCLIENT for POP3, which it offers in its greeting to those it trusts. A refusal changes nothing. */
async function tellClient(
  replies: Replies,
  upstream: MailServer,
  { source }: ProxiedConnection,
): Promise<void> {
  const address = isIP(source.address) === 6 ? `IPV6:${source.address}` : source.address;
  replies.leg.write(`XCLIENT ADDR=${address} PORT=${source.port}\r\n`);
  if ((await replies.status()) === null)
    throw mailServerFailure('upstream.unreachable', upstream, replies.leg.cause);
}

function refused(upstream: MailServer, reason: string): SealgateError {
  return mailServerFailure('upstream.refused', upstream, reason);
}
