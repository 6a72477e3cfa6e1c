import type { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { ClientConnection } from '../connections/client-connection.ts';
import { secured } from '../connections/handshake.ts';
import { listen } from '../connections/listen.ts';
import { type MailServer, type MailServerOptions, prepareMailServer } from '../connections/mail-server.ts';
import { SealgateError } from '../errors.ts';
import { newSessionId, type SessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { type ViewNames, viewNames } from '../mail-view/view-names.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { Spool } from '../octets/source.ts';
import type { InboundStory, Principal } from '../pipeline/ports.ts';
import { Openings } from '../reading/openings.ts';
import type { Reading } from '../reading/reader-views.ts';
import { systemTimers, type Timers } from '../reading/timers.ts';
import type { RelayedMechanism } from '../sasl/relayed-identity.ts';
import { beginStoring, type StoringSettings } from './append/begin-storing.ts';
import type { Telling } from './capability.ts';
import { converseBeforeLogin, type LoginOutcome } from './login.ts';
import { MailboxViews } from './mailbox-views.ts';
import { Refreshing, type RefreshSettings } from './refresh/refreshing.ts';
import type { SearchScope } from './search/open-undecided.ts';
import { runSession } from './session.ts';
import { compressUpstream, introduce } from './settle-in.ts';
import { runStoredSession } from './stored-session.ts';
import { connectUpstream, type UpstreamConnection } from './upstream-connection.ts';
import { Wire } from './wire.ts';

export type ImapListenerOptions = {
  /** Name in the configuration; for log lines and errors. */
  name: string;
  host: string;
  /** 0: the system chooses. */
  port: number;
  tls: 'implicit' | 'starttls' | 'none';
  /** Needed unless `tls` is `none`. */
  secureContext?: SecureContext;
  upstream: MailServerOptions;
  story: InboundStory;
  /** Whether the gateway has any decryption key for the login. */
  hasKeys(principal: Principal): boolean;
  /** Makes boundaries that nobody can guess; 32 random octets of the installation. */
  viewSecret: Buffer;
  /** 4 to 32 lower-case letters and digits, random for each installation. */
  installationId: string;
  log: Log;
  /** The gateway's own name. */
  hostname: string;
  /** Connections at a time. */
  maxConnections?: number;
  /** Load balancers that begin with a PROXY header; default: none, and clients come by themselves. */
  proxyProtocolFrom?: readonly string[];
  /** Whether a FETCH from which messages are missing for their keys is answered NO, or ends the session. Default: `refuse`. */
  keyAway?: 'refuse' | 'disconnect';
  /** Which messages a search looks into. Default: those that the session has opened. */
  search?: SearchScope;
  /** Where messages wait while they are opened; absent: files in the system's folder for temporary ones. */
  spool?: Spool;
  /** How many messages are opened at a time; absent: this listener counts for itself. */
  openings?: Openings;
  /** Absent: the system's. */
  timers?: Timers;
  /** Capabilities that clients are not told of. Default: none. */
  hiddenCapabilities?: readonly string[];
  /** Compresses connections to an upstream that offers it. Default: no. */
  compressUpstream?: boolean;
  /** Logins in which the password does not travel, passed on as they are. Default: none. */
  relayMechanisms?: readonly RelayedMechanism[];
  /** What a login name ends with that asks for mail as it is stored. Default: nothing does. */
  rawLoginSuffix?: string | null;
  /** How mail is stored that clients put into mailboxes. Absent: as they send it. */
  storing?: StoringSettings;
  /** Messages that a new key opens get new UIDs. Absent: they stay as they were shown. */
  refresh?: RefreshSettings;
  /** How decrypted mail is shown, and where that is recorded. Absent: as usual, and nowhere. */
  reading?: Reading;
  /** Let passwords be sent without TLS; for a listener that only this machine can reach. */
  allowPlainAuth?: boolean;
};

export type ImapListener = { port: number; close(): Promise<void> };

const MAX_CONNECTIONS = 1_000;
const TOO_MANY = '* BYE [UNAVAILABLE] Too many connections; try again later\r\n';

/**
 * Listens for IMAP clients. Resolves when connections are taken.
 * Throws SealgateError `listener.no-certificate`, `upstream.ca-file` and what `listen` throws.
 */
export async function startImapListener(options: ImapListenerOptions): Promise<ImapListener> {
  if (options.tls !== 'none' && options.secureContext === undefined) throw noCertificate(options);
  const names = viewNames(options.installationId, options.hostname);
  const { spool = encryptedSpool(), openings = new Openings() } = options;
  const telling: Telling = {
    storesAtRest: options.storing?.rules.some(({ store }) => store === 'at-rest') ?? false,
    hidden: new Set(options.hiddenCapabilities?.map((each) => each.toUpperCase())),
  };
  const upstream = await prepareMailServer(options.upstream);
  const shared: Shared = { options, upstream, names, spool, openings, telling };
  const { name, host, port, log, maxConnections = MAX_CONNECTIONS, proxyProtocolFrom = [] } = options;
  const listening = await listen({
    ...{ name, host, port, log, maxConnections, proxyProtocolFrom },
    ...(options.tls === 'implicit' ? {} : { tooMany: TOO_MANY }),
    serve: (client) => serve(shared, client),
  });
  return {
    port: listening.port,
    async close() {
      const stopped = listening.stop();
      listening.destroy();
      await stopped;
    },
  };
}

type Shared = {
  options: ImapListenerOptions;
  upstream: MailServer;
  names: ViewNames;
  spool: Spool;
  openings: Openings;
  telling: Telling;
};

/** Serves one connection to its end. Never throws. */
async function serve(shared: Shared, client: ClientConnection): Promise<void> {
  const { log, name } = shared.options;
  const session = newSessionId();
  const { address: remote } = client.remote;
  log.write({ event: 'imap.connected', level: 'debug', session, remote, listener: name });
  let cause: string;
  try {
    cause = await converse(shared, session, client);
  } catch (error) {
    cause = report(shared, session, error);
  }
  log.write({ event: 'imap.closed', level: 'debug', session, cause });
}

function report({ options: { log } }: Shared, session: SessionId, error: unknown): string {
  if (!(error instanceof SealgateError)) {
    log.write({
      event: 'gateway.defect',
      level: 'error',
      where: 'imap-proxy.listener',
      error: String(error),
    });
    return 'defect';
  }
  const reason = error.reason ?? error.code;
  log.write({ event: 'imap.protocol-error', level: 'warn', session, side: sideOf(error), reason });
  return error.code;
}

function sideOf(error: SealgateError): 'client' | 'upstream' {
  return error.code.startsWith('upstream.') ? 'upstream' : 'client';
}

async function converse(shared: Shared, session: SessionId, connection: ClientConnection): Promise<string> {
  const { options } = shared;
  const { socket, remote: source, local: destination } = connection;
  let client = new Wire(
    options.tls === 'implicit' ? await overTls(options, socket) : socket,
    'client',
    limits.imap.clientLineOctets,
  );
  const timer = setTimeout(() => client.destroy(), limits.imap.beforeAuthTimeoutMs);
  let upstream: UpstreamConnection | null = null;
  try {
    upstream = await connectUpstream(shared.upstream, { source, destination }, client.signal);
    const { wire } = upstream;
    client.signal.addEventListener('abort', () => wire.destroy());
    let encrypted = options.tls === 'implicit';
    let greet = true;
    for (;;) {
      const outcome: LoginOutcome = await converseBeforeLogin({
        client,
        upstream,
        startTls: options.tls === 'starttls' && !encrypted,
        loginAllowed: encrypted || plainLoginAllowed(options, connection.fromHere),
        hostname: options.hostname,
        greet,
        relayMechanisms: options.relayMechanisms ?? [],
        rawLoginSuffix: options.rawLoginSuffix ?? null,
        telling: shared.telling,
      });
      if (outcome.kind === 'closed') return outcome.cause;
      if (outcome.kind === 'logged-in') {
        clearTimeout(timer);
        return await afterLogin(shared, session, client, upstream, outcome, source.address);
      }
      client = new Wire(await overTls(options, client.release()), 'client', limits.imap.clientLineOctets);
      client.signal.addEventListener('abort', () => wire.destroy());
      encrypted = true;
      greet = false;
    }
  } catch (error) {
    client.write(`* BYE ${byeText(error)}\r\n`);
    throw error;
  } finally {
    clearTimeout(timer);
    upstream?.wire.destroy();
    client.end();
  }
}

/** A listener without TLS serves its own machine; `allowPlainAuth` lifts that. */
function plainLoginAllowed({ tls, allowPlainAuth }: ImapListenerOptions, fromHere: boolean): boolean {
  return allowPlainAuth === true || (tls === 'none' && fromHere);
}

function byeText(error: unknown): string {
  if (!(error instanceof SealgateError)) return '[SERVERBUG] Something went wrong';
  const code = error.duration === 'temporary' ? '[UNAVAILABLE] ' : '';
  return code + error.publicText.replace(/[^\x20-\x7e]/g, '?');
}

async function afterLogin(
  shared: Shared,
  session: SessionId,
  client: Wire,
  upstream: UpstreamConnection,
  outcome: Extract<LoginOutcome, { kind: 'logged-in' }>,
  remote: string,
): Promise<string> {
  const { options, names, spool, openings, telling } = shared;
  const { principal, mechanism, asStored, clientId } = outcome;
  const { log, story, timers = systemTimers } = options;
  log.write({
    event: 'imap.authenticated',
    level: 'info',
    session,
    principal: principal.login,
    mechanism,
    ...(asStored ? { asStored } : {}),
  });
  await introduce(upstream, clientId, client, telling);
  if (asStored) return await runStoredSession(client, upstream.wire);
  if (options.compressUpstream === true) await compressUpstream(upstream, client, telling);
  const secret = options.viewSecret;
  const hasKeys = options.hasKeys(principal);
  const reader = { session, principal, secret, names, log, timers, remote, ...options.reading };
  const storing = options.storing === undefined ? null : await beginStoring(options.storing, reader);
  // Without a key an encrypted message is shown as it is stored, whoever has encrypted it.
  const views = new MailboxViews({ ...reader, hasKeys, story }, hasKeys ? storing?.messages : null);
  if (clientId !== null) views.identify(clientId);
  try {
    return await runSession({
      session,
      client,
      upstream: upstream.wire,
      upstreamCapabilities: upstream.capabilities,
      telling,
      views,
      spool,
      openings,
      log,
      timers,
      keyAway: options.keyAway ?? 'refuse',
      search: options.search ?? { kind: 'opened' },
      storing,
      refreshing: options.refresh === undefined ? null : new Refreshing(options.refresh, principal),
    });
  } finally {
    views.end();
  }
}

function overTls(options: ImapListenerOptions, socket: Socket): Promise<TLSSocket> {
  const { secureContext } = options;
  if (secureContext === undefined) throw noCertificate(options);
  return secured(socket, secureContext, limits.imap.beforeAuthTimeoutMs);
}

function noCertificate(options: ImapListenerOptions): SealgateError {
  return new SealgateError({
    code: 'listener.no-certificate',
    publicText: `The IMAP listener "${options.name}" offers TLS but has no certificate. Name a certificate and its key.`,
    duration: 'permanent',
  });
}
