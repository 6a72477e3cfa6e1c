import type { SecureContext } from 'node:tls';
import type { ClientConnection } from '../connections/client-connection.ts';
import { listen } from '../connections/listen.ts';
import { addressLimits, type ListenerOptions, MAX_CONNECTIONS } from '../connections/listener.ts';
import { type MailServer, prepareMailServer } from '../connections/mail-server.ts';
import { type ClientCertificates, type TlsMaterial, tlsContext } from '../connections/tls-context.ts';
import { SealgateError } from '../errors.ts';
import { newMailId, newSessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { Spool } from '../octets/source.ts';
import type { OutboundStory, OwnMailbox, StoreAndForward } from '../pipeline/ports.ts';
import type { RelayedMechanism } from '../sasl/relayed-identity.ts';
import { formatReply, reply } from '../smtp/reply.ts';
import type { GatewayLogin } from '../smtp-out/gateway-login.ts';
import { connectAsGateway, UpstreamPool } from '../smtp-out/pool.ts';
import type { Admission } from './admission.ts';
import { type Served, serveClient, type Timeouts } from './client-socket.ts';
import type { SessionPorts } from './conversation.ts';
import { QueuedUpstream } from './queued-upstream.ts';
import { type SendingBounds, SendingLimits } from './sending-limits.ts';

export type SubmissionListenerOptions = ListenerOptions & {
  /** In place of `secureContext`. */
  tlsMaterial?: TlsMaterial;
  /** Default: ignored. A `secureContext` is made for the same. */
  clientCertificates?: ClientCertificates;
  story: OutboundStory;
  /** Absent: the gateway takes no mail for itself. */
  ownMailbox?: OwnMailbox;
  /** Where long messages wait; default: encrypted, in the system's folder for temporary files. */
  spool?: Spool;
  /** What takes mail in the place of the mail server; absent: nothing does. */
  storeAndForward?: StoreAndForward;
  /** Default: limits.messageOctets; at most limits.smtp.messageOctets. */
  maxMessageOctets?: number;
  /** Clients do not log in, and this says whose mail theirs is; absent: they do. */
  admissionOf?: (client: ClientConnection) => Admission;
  /** How much clients may send; absent: as much as they like. */
  sendingBounds?: SendingBounds;
  /** Milliseconds, never backwards; the system's where absent. */
  now?: () => number;
  /** Logins in which the password does not travel that are passed on. Default: none. */
  relayMechanisms?: readonly RelayedMechanism[];
  /** Clients of this machine need no AUTH and are this login. */
  assumeLogin?: string;
  /** How the gateway itself logs in to the mail server, where clients do not; absent: not at all. */
  upstreamLogin?: GatewayLogin;
  /** Milliseconds; default: limits.smtp. `command`: silence of a client; `beforeAuth`: from connecting to the login. */
  timeouts?: Partial<Timeouts>;
};

export type SubmissionListener = {
  port: number;
  /**
   * Takes no more clients, ends the sessions with 421, and resolves when all connections are closed. A message that is being handed
   * over is waited for, limits.smtp.closeTimeoutMs at most; its client hears then that the mail server has not answered.
   */
  close(): Promise<void>;
};

/**
 * Listens for mail clients and serves each with a session, which has a connection to the mail server for itself while it lasts.
 *
 * Throws SealgateError: `listener.port-in-use`, `listener.not-permitted`, `listener.address`, `listener.tls`, `upstream.ca-file`.
 */
export async function startSubmissionListener(
  options: SubmissionListenerOptions,
): Promise<SubmissionListener> {
  const context = contextOf(options);
  const upstream = await prepareMailServer(options.upstream);
  const pool = poolFor(options, upstream);
  const ports: Omit<SessionPorts, 'openUpstream' | 'guard'> = {
    settings: {
      listener: options.name,
      hostname: options.hostname,
      upstream: upstream.name,
      tls: options.tls,
      maxMessageOctets: Math.min(options.maxMessageOctets ?? limits.messageOctets, limits.smtp.messageOctets),
      allowPlainAuth: options.allowPlainAuth ?? false,
      relayMechanisms: options.relayMechanisms ?? [],
      assumeLogin: options.assumeLogin ?? null,
      fromHere: false,
      clientCertificates: options.clientCertificates ?? 'ignored',
    },
    story: options.story,
    ownMailbox: options.ownMailbox ?? null,
    log: options.log,
    newMailId,
    reception: {
      spool: options.spool ?? encryptedSpool({ memoryOctets: limits.smtp.memoryOctets }),
      storeAndForward: options.storeAndForward ?? null,
      sendingLimits: sendingLimitsOf(options),
      now: options.now ?? NOW,
    },
  };
  const portsFor = (client: ClientConnection): SessionPorts => {
    const { remote: source, local: destination, fromHere, guard } = client;
    const settings = { ...ports.settings, fromHere };
    const admission = options.admissionOf?.(client);
    const openUpstream = async (signal: AbortSignal) => {
      if (options.storeAndForward !== undefined) {
        const logsIn = admission === undefined && (settings.assumeLogin === null || !fromHere);
        return new QueuedUpstream(logsIn ? await connectHere(signal) : null);
      }
      return pool !== null ? pool.take(signal) : connectHere(signal);
    };
    const connectHere = (signal: AbortSignal) => {
      // A trusted proxy may have said whose connection it is.
      const address = admission === undefined || admission.remote === '' ? source.address : admission.remote;
      const from = { source: { ...source, address }, destination };
      return connectAsGateway(upstream, options.hostname, options.upstreamLogin ?? null, from, signal);
    };
    return { ...ports, settings, openUpstream, guard, ...(admission === undefined ? {} : { admission }) };
  };
  const timeouts: Timeouts = {
    command: options.timeouts?.command ?? limits.smtp.commandTimeoutMs,
    beforeAuth: options.timeouts?.beforeAuth ?? limits.smtp.beforeAuthTimeoutMs,
  };
  const served = new Set<Served>();
  const { name, host, port, log, maxConnections = MAX_CONNECTIONS, proxyProtocolFrom = [] } = options;
  // TLS begins in client-socket.ts, implicit or not: those who are too many are told before a handshake is spent on them.
  const listening = await listen({
    ...{ name, host, port, log, maxConnections, proxyProtocolFrom },
    ...addressLimits(options),
    ...(options.tls === 'implicit' ? {} : { tooMany: formatReply(TOO_MANY) }),
    async serve(connection) {
      const client = serveClient(connection, context, portsFor(connection), newSessionId(), timeouts);
      served.add(client);
      await client.closed;
      served.delete(client);
    },
  });
  return {
    port: listening.port,
    close: async () => {
      const stopped = listening.stop();
      for (const client of served) client.shutDown();
      await stopped;
      pool?.close();
    },
  };
}

/** Sessions share connections where none of them is anybody's: no client logs in, and the mail server is not told whose each is. */
function poolFor(options: SubmissionListenerOptions, server: MailServer): UpstreamPool | null {
  const { proxyProtocol = 'none', tellClientAddress = false } = server.options;
  const isSomebodys = options.admissionOf === undefined && options.assumeLogin === undefined;
  if (isSomebodys || proxyProtocol !== 'none' || tellClientAddress) return null;
  return new UpstreamPool({ server, hostname: options.hostname, login: options.upstreamLogin ?? null });
}

const NOW = () => performance.now();

function sendingLimitsOf(options: SubmissionListenerOptions): SendingLimits | null {
  const { sendingBounds, unlimitedNetworks = [], now = NOW } = options;
  return sendingBounds === undefined ? null : new SendingLimits(sendingBounds, unlimitedNetworks, now);
}

const TOO_MANY = reply(421, '4.7.0', 'Too many connections; try again later');

function contextOf(options: SubmissionListenerOptions): SecureContext | null {
  if (options.tls === 'none') return null;
  if (options.secureContext !== undefined) return options.secureContext;
  try {
    if (options.tlsMaterial === undefined) throw new Error('there is no certificate');
    return tlsContext(options.tlsMaterial, false, options.clientCertificates);
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
