import { isIP, type Socket } from 'node:net';
import { type Calling, call, callSecurely } from '../connections/call.ts';
import { type MailServer, mailServerFailure, verificationOf } from '../connections/mail-server.ts';
import type { ProxiedConnection } from '../connections/write-proxy-header.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { readExtensions } from '../smtp/extensions.ts';
import { isCompleted, type Reply, replyClass, summary } from '../smtp/reply.ts';
import { type Answer, SmtpClient } from './client.ts';

/**
 * Connects, secures and greets; the connection that comes back has its extensions and no transaction.
 * `hostname` is what we call ourselves in EHLO. `from`: whose connection it is; null where it is our own. `signal`: nobody needs it any more.
 *
 * Throws SealgateError, whose text may be shown to anybody: `upstream.unreachable`, `upstream.refused`, `upstream.tls`,
 * `upstream.plaintext`.
 */
export async function connectUpstream(
  server: MailServer,
  hostname: string,
  from: ProxiedConnection | null = null,
  signal: AbortSignal | null = null,
): Promise<SmtpClient> {
  const { options } = server;
  const timeoutMs = limits.smtp.upstreamConnectTimeoutMs;
  const calling: Calling = { from, timeoutMs, ...(signal === null ? {} : { signal }) };
  let client = clientOn(await call(server, calling), server);
  const abandon = (): void => client.abandon();
  signal?.addEventListener('abort', abandon);
  try {
    // It may have been while the connection was on its way from there to here.
    if (signal?.aborted === true) abandon();
    accepted(server, await within(client, client.greeting()), 220);
    await ehlo(server, client, hostname);
    if (options.tls === 'starttls' || (options.tls === 'if-offered' && client.extensions.has('STARTTLS'))) {
      client = await startTls(client, server, calling);
      // RFC 3207 §4.2: what was learnt before the handshake is forgotten.
      await ehlo(server, client, hostname);
    }
    if (options.tellClientAddress === true && from !== null)
      await tellAddress(server, client, hostname, from);
    return client;
  } catch (error) {
    client.abandon();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abandon);
  }
}

function clientOn(socket: Socket, { name, options }: MailServer): SmtpClient {
  return new SmtpClient(socket, name, options.protocol ?? 'smtp', verificationOf(options).kind !== 'none');
}

/** RFC 5321 §4.1.1.1; RFC 2033 §4.1. */
async function ehlo(server: MailServer, client: SmtpClient, hostname: string): Promise<void> {
  const verb = client.protocol === 'lmtp' ? 'LHLO' : 'EHLO';
  const answer = await within(client, client.command(`${verb} ${hostname}`));
  client.useExtensions(readExtensions(accepted(server, answer, 250)));
}

/**
 * XCLIENT, as Postfix has it: `XCLIENT ADDR=… PORT=…`, after which the server greets anew. A server that does not offer it does
 * not trust us with it, and is not told.
 */
async function tellAddress(
  server: MailServer,
  client: SmtpClient,
  hostname: string,
  { source }: ProxiedConnection,
): Promise<void> {
  const attributes = client.extensions.get('XCLIENT')?.map((each) => each.toUpperCase());
  const [plain = ''] = source.address.split('%');
  if (attributes?.includes('ADDR') !== true || isIP(plain) === 0) return;
  const address = `${isIP(plain) === 6 ? 'IPV6:' : ''}${plain}`;
  const port = attributes.includes('PORT') ? ` PORT=${source.port}` : '';
  accepted(server, await within(client, client.command(`XCLIENT ADDR=${address}${port}`)), 220);
  await ehlo(server, client, hostname);
}

async function startTls(client: SmtpClient, server: MailServer, calling: Calling): Promise<SmtpClient> {
  if (!client.extensions.has('STARTTLS')) {
    throw mailServerFailure('upstream.tls', server, 'it does not offer STARTTLS');
  }
  accepted(server, await within(client, client.command('STARTTLS')), 220);
  const raw = client.detach();
  if (raw === null) throw mailServerFailure('upstream.tls', server, client.lost ?? '');
  return clientOn(await callSecurely(server, raw, calling), server);
}

/** The greeting and EHLO are waited for only as long as a person waits. */
async function within(client: SmtpClient, answer: Promise<Answer>): Promise<Answer> {
  const timer = setTimeout(() => client.abandon(), limits.smtp.upstreamConnectTimeoutMs);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}

function accepted(server: MailServer, answer: Answer, code: number): Reply {
  if (answer.kind === 'lost') throw mailServerFailure('upstream.unreachable', server, answer.reason);
  const { reply } = answer;
  if (reply.code === code && isCompleted(reply)) return reply;
  throw new SealgateError({
    code: 'upstream.refused',
    publicText: 'The mail server does not accept connections at the moment; try again later.',
    duration: replyClass(reply) === 'permanent' ? 'permanent' : 'temporary',
    reason: summary(reply),
  });
}
