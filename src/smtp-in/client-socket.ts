import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { ClientConnection } from '../connections/client-connection.ts';
import { atEndOfTurn } from '../connections/end-of-turn.ts';
import { secured, shownChain } from '../connections/handshake.ts';
import { SealgateError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import type { SessionPorts } from './conversation.ts';
import { type ClientPort, SubmissionSession } from './session.ts';

/** Milliseconds. */
export type Timeouts = { command: number; beforeAuth: number };

/** A client that is being served. */
export type Served = {
  /** Its socket is closed. */
  closed: Promise<void>;
  /** 421, at once or after the message that is being handed over; then the socket goes. */
  shutDown(): void;
};

/** Connects a socket with a session of its own: TLS, time limits and back-pressure are here, the protocol is there. */
export function serveClient(
  client: ClientConnection,
  context: SecureContext | null,
  ports: SessionPorts,
  id: SessionId,
  timeouts: Timeouts,
): Served {
  const { settings, log } = ports;
  const { socket: raw } = client;
  const { address: remote } = client.remote;
  /** The socket that is spoken over: `raw` until a TLS handshake has begun. */
  let socket: Socket = raw;
  let cause = 'the client closed the connection';
  let shouldRead = true;
  let handshaking = false;
  let ended = false;
  let farewell: NodeJS.Timeout | null = null;

  /** Replies of this turn. */
  let unwritten = '';

  const port: ClientPort = {
    write: (text) => {
      if (unwritten === '') atEndOfTurn(writeOut);
      unwritten += text;
    },
    startTls: () => {
      writeOut();
      secure(() => session.secured());
    },
    end: () => {
      writeOut();
      ended = true;
      if (handshaking) {
        raw.destroy();
        return;
      }
      socket.end();
      // What the client still sends is read and dropped: closing over unread octets would reset the connection and lose the last reply.
      socket.resume();
      farewell ??= setTimeout(() => raw.destroy(), limits.smtp.closeTimeoutMs);
    },
    read: (on) => {
      shouldRead = on;
      read();
    },
  };
  const session = new SubmissionSession(ports, port, id, remote, settings.tls === 'implicit');

  function writeOut(): void {
    const text = unwritten;
    unwritten = '';
    if (text === '' || handshaking || !socket.writable) return;
    socket.write(text, 'utf8');
    read();
  }

  /** No reading while the session has enough, or while the client does not take its replies. */
  function read(): void {
    if (handshaking) return;
    if (ended || (shouldRead && socket.writableLength <= limits.smtp.readAheadOctets)) socket.resume();
    else socket.pause();
  }

  function listen(): void {
    socket.on('data', (chunk: Buffer) => session.receive(chunk));
    socket.on('drain', read);
    socket.on('error', failed);
    socket.on('timeout', () => {
      if (session.waitsForClient) session.timedOut();
      // It is told once for each silence: the client may still have nothing to say when we have.
      else socket.setTimeout(timeouts.command);
    });
    socket.setTimeout(timeouts.command);
  }

  function secure(done: () => void): void {
    if (context === null) throw new Error('a listener with TLS has no certificate');
    for (const event of ['data', 'drain', 'timeout']) raw.removeAllListeners(event);
    // The handshake may have to wait for its place: what the client says meanwhile is kept for it.
    raw.pause();
    raw.setTimeout(0);
    handshaking = true;
    client.guard
      .handshake(() => secured(raw, context, timeouts.beforeAuth, settings.clientCertificates))
      .then((tls) => {
        handshaking = false;
        ports.admission?.secured(shownChain(tls));
        socket = tls;
        tls.once('close', () => raw.destroy());
        listen();
        done();
      }, failed);
  }

  function failed(error: Error): void {
    cause = error instanceof SealgateError ? (error.reason ?? error.code) : error.message;
    raw.destroy();
  }

  const beforeAuth = setTimeout(() => {
    if (session.authenticated) return;
    session.timedOut();
  }, timeouts.beforeAuth);

  const hurried = Promise.withResolvers<void>();
  let hurry: NodeJS.Timeout | undefined;
  const gone = new Promise<void>((resolve) => {
    raw.once('close', () => {
      clearTimeout(beforeAuth);
      if (farewell !== null) clearTimeout(farewell);
      session.clientGone(cause);
      log.write({ event: 'smtp.closed', level: 'debug', session: id, cause: session.cause });
      resolve();
    });
  });
  // Work for a client that has gone counts as its session, so that nobody has more at work than sessions.
  const closed = gone
    .then(() => Promise.race([session.over, hurried.promise]))
    .finally(() => clearTimeout(hurry));

  log.write({ event: 'smtp.connected', level: 'debug', session: id, remote, listener: settings.listener });
  raw.on('error', failed);
  if (settings.tls === 'implicit') {
    secure(() => session.greet());
  } else {
    listen();
    session.greet();
  }
  return {
    closed,
    shutDown: () => {
      session.shutDown();
      hurry ??= setTimeout(() => {
        session.hurry();
        hurry = setTimeout(() => {
          raw.destroy();
          hurried.resolve();
        }, limits.smtp.lastWordsTimeoutMs);
      }, limits.smtp.closeTimeoutMs);
    },
  };
}
