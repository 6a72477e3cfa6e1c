import { readFile } from 'node:fs/promises';
import { connect, isIP, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, connect as tlsConnect } from 'node:tls';
import { isLoopback } from '../connections/loopback.ts';
import { type ProxiedConnection, type ProxyVersion, proxyHeader } from '../connections/write-proxy-header.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { readExtensions } from '../smtp/extensions.ts';
import { isCompleted, type Reply, replyClass, summary } from '../smtp/reply.ts';
import { type Answer, SmtpClient } from './client.ts';

export type UpstreamOptions = {
  host: string;
  port: number;
  tls: 'implicit' | 'starttls' | 'none';
  /** PEM file with the only authorities that count for this server; else the system's. */
  caFile?: string;
  /** Name that the certificate must carry, where it is not `host`. */
  serverName?: string;
  /** Says in a PROXY header whose connection it is. */
  proxyProtocol?: 'none' | ProxyVersion;
  /** Tells a server that offers XCLIENT the client's address. */
  tellClientAddress?: boolean;
  /** `none` to another machine: for evaluation only, passwords go in the clear. */
  allowPlaintext?: boolean;
};

/** Options that have been checked, with what is read or built once. */
export type UpstreamTarget = {
  readonly options: UpstreamOptions;
  /** `host:port`. */
  readonly name: string;
  readonly context: SecureContext | null;
};

/** Throws SealgateError `upstream.ca-file` (permanent). */
export async function prepareUpstream(options: UpstreamOptions): Promise<UpstreamTarget> {
  const name = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
  if (options.tls === 'none') return { options, name, context: null };
  const { caFile } = options;
  try {
    const ca = caFile === undefined ? undefined : await readFile(caFile);
    if (ca !== undefined && !ca.includes('-----BEGIN CERTIFICATE-----'))
      throw new Error('no certificate in PEM form');
    const context = createSecureContext({ minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) });
    return { options, name, context };
  } catch (cause) {
    throw new SealgateError({
      code: 'upstream.ca-file',
      publicText: `The file ${caFile ?? ''} with the authorities for ${name} cannot be used; give a readable PEM file.`,
      duration: 'permanent',
      reason: messageOf(cause),
      cause,
    });
  }
}

/**
 * Connects, secures and greets; the connection that comes back has its extensions and no transaction.
 * `hostname` is what we call ourselves in EHLO. `from`: whose connection it is; null where it is our own.
 *
 * Throws SealgateError, whose text may be shown to anybody: `upstream.unreachable`, `upstream.refused`, `upstream.tls`,
 * `upstream.plaintext`.
 */
export async function connectUpstream(
  target: UpstreamTarget,
  hostname: string,
  from: ProxiedConnection | null = null,
): Promise<SmtpClient> {
  const { options, name } = target;
  const raw = await openProxied(target, from);
  if (options.tls === 'none' && options.allowPlaintext !== true && !isLoopback(raw.remoteAddress ?? '')) {
    raw.destroy();
    throw failure(
      'upstream.plaintext',
      'The mail server may only be used with TLS',
      `${name} is not this machine`,
    );
  }
  let client = new SmtpClient(raw, name);
  try {
    accepted(await within(client, client.greeting()), 220);
    await ehlo(client, hostname);
    if (options.tls === 'starttls') {
      client = await startTls(client, target);
      // RFC 3207 §4.2: what was learnt before the handshake is forgotten.
      await ehlo(client, hostname);
    }
    if (options.tellClientAddress === true && from !== null) await tellAddress(client, hostname, from);
    return client;
  } catch (error) {
    client.abandon();
    throw error;
  }
}

async function ehlo(client: SmtpClient, hostname: string): Promise<void> {
  const answer = await within(client, client.command(`EHLO ${hostname}`));
  client.useExtensions(readExtensions(accepted(answer, 250)));
}

/**
 * XCLIENT, as Postfix has it: `XCLIENT ADDR=… PORT=…`, after which the server greets anew. A server that does not offer it does
 * not trust us with it, and is not told.
 */
async function tellAddress(
  client: SmtpClient,
  hostname: string,
  { source }: ProxiedConnection,
): Promise<void> {
  const attributes = client.extensions.get('XCLIENT')?.map((each) => each.toUpperCase());
  const [plain = ''] = source.address.split('%');
  if (attributes?.includes('ADDR') !== true || isIP(plain) === 0) return;
  const address = `${isIP(plain) === 6 ? 'IPV6:' : ''}${plain}`;
  const port = attributes.includes('PORT') ? ` PORT=${source.port}` : '';
  accepted(await within(client, client.command(`XCLIENT ADDR=${address}${port}`)), 220);
  await ehlo(client, hostname);
}

/** With a PROXY header it comes first, before TLS. */
async function openProxied(target: UpstreamTarget, from: ProxiedConnection | null): Promise<Socket> {
  const { tls, proxyProtocol = 'none' } = target.options;
  if (proxyProtocol === 'none') return await open(target, tls === 'implicit');
  const raw = await open(target, false);
  raw.write(proxyHeader(proxyProtocol, from));
  return tls === 'implicit' ? await open(target, true, raw) : raw;
}

async function startTls(client: SmtpClient, target: UpstreamTarget): Promise<SmtpClient> {
  if (!client.extensions.has('STARTTLS')) {
    throw failure('upstream.tls', 'The mail server does not offer TLS', `${target.name} has no STARTTLS`);
  }
  accepted(await within(client, client.command('STARTTLS')), 220);
  const raw = client.detach();
  if (raw === null)
    throw failure('upstream.tls', 'The mail server could not be reached securely', client.lost ?? '');
  return new SmtpClient(await open(target, true, raw), target.name);
}

/** A connected socket; with `secure` after the handshake, the server's name verified. */
function open(target: UpstreamTarget, secure: boolean, raw?: Socket): Promise<Socket> {
  const { options, name } = target;
  const verified = options.serverName ?? options.host;
  return new Promise((resolve, reject) => {
    const socket = secure
      ? tlsConnect({
          ...(raw === undefined ? { port: options.port } : { socket: raw }),
          host: options.host,
          // Without a server name Node verifies the certificate against `host`, which may be an address.
          ...(isIP(verified) === 0 ? { servername: verified } : {}),
          ...(target.context === null ? {} : { secureContext: target.context }),
          rejectUnauthorized: true,
        })
      : connect({ host: options.host, port: options.port });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    const timer = setTimeout(
      () => socket.destroy(new Error('no connection in time')),
      limits.smtp.upstreamConnectTimeoutMs,
    );
    const failed = (cause: Error) => {
      clearTimeout(timer);
      raw?.destroy();
      reject(
        isTlsFailure(cause)
          ? failure(
              'upstream.tls',
              'The mail server could not be reached securely',
              `${name}: ${cause.message}`,
              cause,
            )
          : failure(
              'upstream.unreachable',
              'The mail server cannot be reached',
              `${name}: ${cause.message}`,
              cause,
            ),
      );
    };
    const closed = () => failed(new Error('it closed the connection'));
    socket.once('error', failed);
    socket.once('close', closed);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      // `failed` stays: an error before the next listener is there must not be nobody's.
      socket.off('close', closed);
      resolve(socket);
    });
  });
}

/** OpenSSL's and Node's certificate errors have codes of their own; a system call's has `syscall`. */
function isTlsFailure(error: Error & { code?: string; syscall?: string }): boolean {
  return error.code !== undefined && error.syscall === undefined;
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

function accepted(answer: Answer, code: number): Reply {
  if (answer.kind === 'lost')
    throw failure('upstream.unreachable', 'The mail server cannot be reached', answer.reason);
  const { reply } = answer;
  if (reply.code === code && isCompleted(reply)) return reply;
  throw new SealgateError({
    code: 'upstream.refused',
    publicText: 'The mail server does not accept connections at the moment; try again later.',
    duration: replyClass(reply) === 'permanent' ? 'permanent' : 'temporary',
    reason: summary(reply),
  });
}

function failure(code: string, text: string, reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code,
    publicText: `${text}; try again later or tell your administrator.`,
    duration: 'temporary',
    reason,
    cause,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
