import type { ClientConnection } from '../connections/client-connection.ts';
import {
  type Listener,
  type ListenerOptions,
  overTls,
  plainLoginAllowed,
  startListener,
} from '../connections/listener.ts';
import { type Side, serveLogged } from '../connections/logged-session.ts';
import { type MailServer, prepareMailServer } from '../connections/mail-server.ts';
import { SealgateError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import { type ViewNames, viewNames } from '../mail-view/view-names.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { Spool } from '../octets/source.ts';
import type { ForeignJudge } from '../pipeline/ports.ts';
import { Openings } from '../reading/openings.ts';
import type { ReaderOptions } from '../reading/reader-options.ts';
import type { Reading } from '../reading/reader-views.ts';
import { readerOf } from '../reading/record-seal.ts';
import { systemTimers } from '../reading/timers.ts';
import type { LoginOptions } from '../sasl/login-options.ts';
import { beginStoring, type StoringSettings } from './append/begin-storing.ts';
import type { Harvesting } from './append/harvesting.ts';
import type { Telling } from './capability.ts';
import { ToldSession } from './epoch/told-session.ts';
import { ForeignLook } from './foreign/foreign-look.ts';
import { type KeywordSettings, OwedKeywords } from './keywords/owed-keywords.ts';
import { converseBeforeLogin, type LoginOutcome } from './login.ts';
import { MailboxViews } from './mailbox-views.ts';
import { Refreshing, type RefreshSettings } from './refresh/refreshing.ts';
import type { SearchScope } from './search/open-undecided.ts';
import { runSession } from './session.ts';
import { compressUpstream, introduce } from './settle-in.ts';
import { runStoredSession } from './stored-session.ts';
import { connectUpstream, type UpstreamConnection } from './upstream-connection.ts';
import { WarmUp } from './warm-up/warm-up.ts';
import { Wire } from './wire.ts';

export type ImapListenerOptions = ListenerOptions &
  LoginOptions &
  ReaderOptions & {
    /** Whether a FETCH from which messages are missing for their keys is answered NO, or ends the session. Default: `refuse`. */
    keyAway?: 'refuse' | 'disconnect';
    /** Which messages a search looks into. Default: those that the session has opened. */
    search?: SearchScope;
    /** Capabilities that clients are not told of. Default: none. */
    hiddenCapabilities?: readonly string[];
    /** Compresses connections to an upstream that offers it. Default: no. */
    compressUpstream?: boolean;
    /** How mail is stored that clients put into mailboxes. Absent: as they send it. */
    storing?: StoringSettings;
    /** Learns correspondents' certificates from signed mail that clients store. Absent: nobody does. */
    harvesting?: Harvesting;
    /** Messages that a new key opens get new UIDs. Absent: they stay as they were shown. */
    refresh?: RefreshSettings;
    /** Asked for whom encrypted messages are before they are listed. Absent: nobody is. */
    foreign?: ForeignJudge;
    /** Keywords that are set in the mail server's mailboxes for what was found of a message. Absent: none. */
    keywords?: KeywordSettings;
    /** Messages of a mailbox that are opened while its client idles, each time that it is selected. Absent: none. */
    warmUp?: number;
    /** How decrypted mail is shown, and where that is recorded. Absent: as usual, and nowhere. */
    reading?: Reading;
  };

export type ImapListener = Listener;

const TOO_MANY = '* BYE [UNAVAILABLE] Too many connections; try again later\r\n';

/**
 * Listens for IMAP clients. Resolves when connections are taken.
 * Throws SealgateError `listener.no-certificate`, `upstream.ca-file` and what `listen` throws.
 */
export async function startImapListener(options: ImapListenerOptions): Promise<ImapListener> {
  const names = viewNames(options.installationId, options.hostname);
  const { spool = encryptedSpool(), openings = new Openings() } = options;
  const telling: Telling = {
    storesAtRest: options.storing?.rules.some(({ store }) => store === 'at-rest') ?? false,
    hidden: new Set(options.hiddenCapabilities?.map((each) => each.toUpperCase())),
  };
  const upstream = await prepareMailServer(options.upstream);
  const shared: Shared = { options, upstream, names, spool, openings, telling };
  const serve = (client: ClientConnection): Promise<void> =>
    serveLogged(
      'imap',
      options,
      client.remote.address,
      (session) => converse(shared, session, client),
      sideOf,
    );
  return await startListener(options, serve, TOO_MANY);
}

type Shared = {
  options: ImapListenerOptions;
  upstream: MailServer;
  names: ViewNames;
  spool: Spool;
  openings: Openings;
  telling: Telling;
};

function sideOf(error: SealgateError): Side {
  return error.code.startsWith('upstream.') ? 'upstream' : 'client';
}

async function converse(shared: Shared, session: SessionId, connection: ClientConnection): Promise<string> {
  const { options } = shared;
  const { socket, remote: source, local: destination } = connection;
  let client = new Wire(
    options.tls === 'implicit'
      ? await overTls(options, connection, socket, limits.imap.beforeAuthTimeoutMs)
      : socket,
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
        loginAllowed: encrypted || plainLoginAllowed(options, connection),
        hostname: options.hostname,
        greet,
        relayMechanisms: options.relayMechanisms ?? [],
        rawLoginSuffix: options.rawLoginSuffix ?? null,
        guard: connection.guard,
        telling: shared.telling,
      });
      if (outcome.kind === 'closed') return outcome.cause;
      if (outcome.kind === 'logged-in') {
        clearTimeout(timer);
        return await afterLogin(shared, session, client, upstream, outcome, source.address);
      }
      client = new Wire(
        await overTls(options, connection, client.release(), limits.imap.beforeAuthTimeoutMs),
        'client',
        limits.imap.clientLineOctets,
      );
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
  const { epochs, account = '' } = options.reading ?? {};
  const entered =
    epochs === undefined ? null : await epochs.enter(readerOf(secret, account, principal.login));
  // Without a key an encrypted message is shown as it is stored, whoever has encrypted it.
  const warmUp = hasKeys && (options.warmUp ?? 0) > 0 ? new WarmUp(options.warmUp ?? 0) : null;
  const keywords = options.keywords === undefined ? null : new OwedKeywords(options.keywords);
  const views = new MailboxViews(
    { ...reader, hasKeys, story },
    hasKeys ? storing?.messages : null,
    keywords,
    warmUp,
  );
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
      keeping:
        options.harvesting === undefined
          ? null
          : { session, principal, harvesting: options.harvesting, ended: client.signal },
      foreign: options.foreign === undefined || !hasKeys ? null : new ForeignLook(options.foreign, principal),
      told: entered === null ? null : new ToldSession({ login: entered.login, session, log }),
      refreshing: options.refresh === undefined ? null : new Refreshing(options.refresh, principal),
    });
  } finally {
    views.end();
    entered?.leave();
    options.harvesting?.sessionEnded(session);
  }
}
