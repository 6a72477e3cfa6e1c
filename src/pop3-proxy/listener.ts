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
import { Openings } from '../reading/openings.ts';
import type { ReaderOptions } from '../reading/reader-options.ts';
import { ReaderViews, type Reading } from '../reading/reader-views.ts';
import { readerOf } from '../reading/record-seal.ts';
import { systemTimers } from '../reading/timers.ts';
import type { LoginOutcome } from '../sasl/before-login.ts';
import type { LoginOptions } from '../sasl/login-options.ts';
import { ClientLines } from './client-lines.ts';
import { Leg } from './leg.ts';
import { converseBeforeLogin } from './login.ts';
import { refusal } from './reply-text.ts';
import { Transaction } from './transaction.ts';
import { connectUpstream, type UpstreamConnection } from './upstream-connection.ts';

export type Pop3ListenerOptions = ListenerOptions &
  LoginOptions &
  ReaderOptions & {
    /** How decrypted mail is shown. Absent: as usual. */
    reading?: Pick<Reading, 'settings' | 'epochs' | 'account'>;
    /** What TOP shows of the body of an encrypted message; default: `render`. */
    topBody?: 'render' | 'headers';
  };

export type Pop3Listener = Listener;

type Shared = {
  options: Pop3ListenerOptions;
  upstream: MailServer;
  names: ViewNames;
  spool: Spool;
  openings: Openings;
};

const TOO_MANY = refusal('SYS/TEMP', 'Too many connections. Try again later.');

/**
 * Listens for POP3 clients. Resolves when connections are taken.
 * Throws SealgateError `listener.no-certificate`, `upstream.ca-file` and what `listen` throws.
 */
export async function startPop3Listener(options: Pop3ListenerOptions): Promise<Pop3Listener> {
  const { spool = encryptedSpool(), openings = new Openings() } = options;
  const upstream = await prepareMailServer(options.upstream);
  const names = viewNames(options.installationId, options.hostname);
  const shared: Shared = { options, upstream, names, spool, openings };
  const serve = (client: ClientConnection): Promise<void> =>
    serveLogged(
      'pop3',
      options,
      client.remote.address,
      (session) => converse(shared, session, client),
      sideOf,
    );
  return await startListener(options, serve, TOO_MANY);
}

function sideOf({ code }: SealgateError): Side {
  return code === 'pop3.protocol' || code.startsWith('listener.') ? 'client' : 'upstream';
}

async function converse(shared: Shared, session: SessionId, connection: ClientConnection): Promise<string> {
  const { options } = shared;
  const { socket, remote: source, local: destination } = connection;
  let leg = new Leg(
    options.tls === 'implicit'
      ? await overTls(options, connection, socket, limits.pop3.beforeAuthTimeoutMs)
      : socket,
  );
  const timer = setTimeout(() => leg.destroy(), limits.pop3.beforeAuthTimeoutMs);
  let upstream: UpstreamConnection | null = null;
  try {
    upstream = await connectUpstream(shared.upstream, { source, destination }, leg.signal);
    let encrypted = options.tls === 'implicit';
    let greet = true;
    for (;;) {
      const client = new ClientLines(leg);
      const outcome: LoginOutcome = await abandoning(leg, upstream, (connected) =>
        converseBeforeLogin({
          ...{ client, upstream: connected, greet, hostname: options.hostname },
          startTls: options.tls === 'starttls' && !encrypted,
          loginAllowed: encrypted || plainLoginAllowed(options, connection),
          relayMechanisms: options.relayMechanisms ?? [],
          rawLoginSuffix: options.rawLoginSuffix ?? null,
          guard: connection.guard,
        }),
      );
      if (outcome.kind === 'closed') return outcome.cause;
      if (outcome.kind === 'logged-in') {
        clearTimeout(timer);
        return await afterLogin(shared, session, client, upstream, outcome, source.address);
      }
      leg = new Leg(await overTls(options, connection, leg.release(), limits.pop3.beforeAuthTimeoutMs));
      encrypted = true;
      greet = false;
    }
  } catch (error) {
    leg.write(lastWords(error));
    throw error;
  } finally {
    clearTimeout(timer);
    upstream?.replies.leg.end();
    leg.end();
  }
}

/** A client that has gone waits for no server. */
async function abandoning<T>(
  client: Leg,
  upstream: UpstreamConnection,
  work: (upstream: UpstreamConnection) => Promise<T>,
): Promise<T> {
  const gone = (): void => upstream.replies.leg.destroy();
  client.signal.addEventListener('abort', gone);
  try {
    return await work(upstream);
  } finally {
    client.signal.removeEventListener('abort', gone);
  }
}

function lastWords(error: unknown): string {
  if (!(error instanceof SealgateError)) return refusal('SYS/PERM', 'Something went wrong. Connect again.');
  return refusal(error.duration === 'temporary' ? 'SYS/TEMP' : null, error.publicText);
}

async function afterLogin(
  { options, names, spool, openings }: Shared,
  session: SessionId,
  client: ClientLines,
  { replies, capabilities }: UpstreamConnection,
  { principal, mechanism, asStored }: Extract<LoginOutcome, { kind: 'logged-in' }>,
  remote: string,
): Promise<string> {
  const { log, story, topBody = 'render', relayMechanisms = [], timers = systemTimers } = options;
  log.write({
    ...{ event: 'pop3.authenticated', level: 'info', session, principal: principal.login, mechanism },
    ...(asStored ? { asStored } : {}),
  });
  const views = new ReaderViews({
    ...{ session, principal, story, names, log, timers, spool },
    hasKeys: !asStored && options.hasKeys(principal),
    secret: options.viewSecret,
    remote,
    // Nothing is recorded beyond the session: a server may use a unique id again for another message (RFC 1939 §7), and that one
    // would never be shown.
    ...(options.reading?.settings === undefined ? {} : { settings: options.reading.settings }),
  });
  const { epochs, account = '' } = options.reading ?? {};
  const reader = readerOf(options.viewSecret, account, principal.login);
  // What was begun for the records' sake is nothing to POP3, which has none.
  const epoch = epochs === undefined || asStored ? 0 : await epochs.store.wanted(reader, 'INBOX');
  const settings = { topBody, asStored, epoch, relayMechanisms, spool, openings, log, timers };
  return new Transaction({ session, client, replies, capabilities, views, ...settings }).run();
}
