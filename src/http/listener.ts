import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { AddressRanges } from '../connections/address-range.ts';
import type { ClientConnection } from '../connections/client-connection.ts';
import { clientNetwork } from '../connections/client-network.ts';
import { secured } from '../connections/handshake.ts';
import { listen } from '../connections/listen.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { EVERY_ANSWER, plainAnswer, rawAnswer, STRICT_TRANSPORT } from './answers.ts';
import { closeInStages } from './close-in-stages.ts';
import type { HttpAnswer, Route } from './message.ts';
import { comesFromElsewhere, readForm, readHead } from './read-request.ts';
import { Routes } from './routes.ts';

/** Milliseconds, as in `limits.http`. */
type Times = { requestMs: number; answerMs: number; lingerMs: number };

export type HttpListenerOptions = {
  /** Name in the configuration; for log lines and errors. */
  name: string;
  host: string;
  /** 0: the system chooses. */
  port: number;
  tls: 'implicit' | 'none';
  /** Needed unless `tls` is `none`. */
  secureContext?: SecureContext;
  maxConnections: number;
  maxConnectionsPerAddress: number;
  unlimitedNetworks: readonly string[];
  proxyProtocolFrom: readonly string[];
  routes: readonly Route[];
  log: Log;
  /** Default: those of `limits.http`. */
  times?: Partial<Times>;
};

export type HttpListener = { port: number; close(): Promise<void> };

/** What is known of a connection besides its octets. */
type Client = {
  remote: string;
  network: string | null;
  /** The request is here: another span of time begins. */
  received(): void;
  asked: boolean;
};

/**
 * Serves HTTP/1.1, and one request on each connection: nothing that follows a request is ever taken for another one (request
 * smuggling), and a client that dawdles has its time and no more.
 *
 * Resolves when connections are taken. Throws SealgateError `listener.no-certificate` and what `listen` throws.
 */
export async function startHttpListener(options: HttpListenerOptions): Promise<HttpListener> {
  const { tls, secureContext, name } = options;
  if (tls !== 'none' && secureContext === undefined) throw noCertificate(name);
  const clients = new WeakMap<Socket, Client>();
  const times = { ...limits.http, ...options.times };
  const server = httpServer(options, clients, times);
  const unlimited = new AddressRanges(options.unlimitedNetworks);
  const listening = await listen({
    ...options,
    async serve(connection) {
      const socket = await conversation(options, connection);
      if (socket === null) return;
      const { address } = connection.remote;
      const network = unlimited.has(address) ? null : clientNetwork(address);
      await served(server, clients, socket, { remote: address, network }, times);
    },
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

function httpServer(
  options: HttpListenerOptions,
  clients: WeakMap<Socket, Client>,
  { lingerMs }: Times,
): Server {
  const routes = new Routes(options.routes);
  const server = createServer(
    {
      maxHeaderSize: limits.http.headerOctets,
      insecureHTTPParser: false,
      // Said by `readHead`, with the rest.
      requireHostHeader: false,
    },
    (request, response) => {
      const client = clients.get(request.socket);
      // A second one on the same connection, or one of nobody.
      if (client === undefined || client.asked) return void request.socket.destroy();
      client.asked = true;
      void exchange(options, routes, client, request, response);
    },
  );
  // All of them or none: those beyond a number would be left out in silence. `maxHeaderSize` bounds them.
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = 1;
  server.timeout = 0;
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const { code } = error;
    if (!socket.writable || code === 'ECONNRESET') return void socket.destroy();
    socket.write(
      rawAnswer(code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'),
    );
    closeInStages(socket as Socket, lingerMs);
  });
  return server;
}

/** The socket that HTTP is spoken on; null: there was no handshake. */
async function conversation(
  options: HttpListenerOptions,
  { socket, guard }: ClientConnection,
): Promise<Socket | null> {
  const { tls, secureContext } = options;
  if (tls === 'none') return socket;
  if (secureContext === undefined) throw noCertificate(options.name);
  try {
    return await guard.handshake(() => secured(socket, secureContext, limits.connections.handshakeTimeoutMs));
  } catch (error) {
    // A scanner, or a browser that does not know who has signed the certificate.
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

function served(
  server: Server,
  clients: WeakMap<Socket, Client>,
  socket: Socket,
  client: Pick<Client, 'remote' | 'network'>,
  { requestMs, answerMs, lingerMs }: Times,
): Promise<void> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const deadline = (ms: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => socket.destroy(), ms);
    };
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    if (socket.destroyed) return resolve();
    deadline(requestMs);
    // What Node calls behind the last answer.
    socket.destroySoon = () => closeInStages(socket, lingerMs);
    clients.set(socket, { ...client, received: () => deadline(answerMs), asked: false });
    server.emit('connection', socket);
  });
}

/** One request and its answer. Never rejects. */
async function exchange(
  options: HttpListenerOptions,
  routes: Routes,
  client: Client,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.on('error', ignored);
  response.on('error', ignored);
  const { log, name: listener } = options;
  let answer: HttpAnswer;
  let place: string | null = null;
  const at = (found: Route): void => {
    place = found.path;
  };
  try {
    answer = await answered(routes, client, request, at);
  } catch (error) {
    if (request.destroyed && !request.complete) return;
    answer = failed(options, error);
  }
  const { method = '' } = request;
  const { remote } = client;
  log.write({
    event: 'http.answered',
    level: 'debug',
    listener,
    remote,
    method,
    place,
    status: answer.status,
  });
  try {
    write(response, answer, options.tls !== 'none');
  } catch (error) {
    // A field that HTTP cannot say: nothing of the answer has left.
    if (!response.headersSent) write(response, failed(options, error), options.tls !== 'none');
  }
}

async function answered(
  routes: Routes,
  client: Client,
  message: IncomingMessage,
  at: (found: Route) => void,
): Promise<HttpAnswer> {
  const head = readHead(message);
  if (head.kind === 'refused') return head.answer;
  const { method, target } = head;
  const found = routes.find(target.segments);
  if (found === null) return plainAnswer(404, 'There is nothing at this address.');
  const { route, segments } = found;
  at(route);
  const common = { segments, query: target.query, network: client.network };
  if (method !== 'POST') {
    client.received();
    return await route.get({ ...common, method: 'GET', form: [] });
  }
  if (route.post === undefined) {
    return plainAnswer(405, 'There is nothing to send here.', { allow: 'GET, HEAD' });
  }
  if (comesFromElsewhere(message)) return plainAnswer(403, 'Forms of other sites are not taken.');
  const read = await readForm(message);
  if (read.kind === 'refused') return read.answer;
  client.received();
  return await route.post({ ...common, method: 'POST', form: read.form });
}

function failed({ log, name }: HttpListenerOptions, error: unknown): HttpAnswer {
  if (error instanceof SealgateError && error.duration === 'temporary')
    return plainAnswer(503, error.publicText);
  const reason = error instanceof Error ? error.message : String(error);
  log.write({ event: 'gateway.defect', level: 'error', where: `http ${name}`, error: reason });
  return plainAnswer(500, 'Something went wrong here. Try again later.');
}

function write(response: ServerResponse, answer: HttpAnswer, overTls: boolean): void {
  if (response.destroyed) return;
  const body = typeof answer.body === 'string' ? Buffer.from(answer.body, 'utf8') : answer.body;
  response.writeHead(answer.status, STATUS_CODES[answer.status] ?? '', {
    ...EVERY_ANSWER,
    ...(overTls ? { 'strict-transport-security': STRICT_TRANSPORT } : {}),
    ...answer.headers,
    ...(answer.contentType === null ? {} : { 'content-type': answer.contentType }),
    'content-length': body.length,
    connection: 'close',
  });
  response.end(body);
}

/** For errors that `close` tells as well. */
const ignored = (): void => undefined;

function noCertificate(name: string): SealgateError {
  return new SealgateError({
    code: 'listener.no-certificate',
    publicText: `The listener "${name}" offers TLS but has no certificate. Name a certificate and its key.`,
    duration: 'permanent',
  });
}
