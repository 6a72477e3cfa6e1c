import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { type Calling, call } from '../../src/connections/call.ts';
import { type MailServerOptions, prepareMailServer } from '../../src/connections/mail-server.ts';
import { SealgateError } from '../../src/errors.ts';
import { certificateFor } from '../support/certificate.ts';

const material = certificateFor('localhost');
const servers: Server[] = [];
const sockets = new Set<Socket>();
afterAll(() => material.remove());
afterEach(() => {
  vi.unstubAllEnvs();
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** The port of a server that does this with what comes. */
async function serving(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    serve(socket);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function outcome(
  options: Partial<MailServerOptions> & { port: number },
  calling: Partial<Calling> = {},
): Promise<string> {
  const server = await prepareMailServer({ host: '127.0.0.1', tls: 'implicit', ...options });
  try {
    const socket = await call(server, { from: null, timeoutMs: 60_000, ...calling });
    socket.destroy();
    return 'connected';
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    expect(error.duration).toBe('temporary');
    expect(error.publicText).not.toContain('127.0.0.1');
    expect(error.reason).toContain(`127.0.0.1:${options.port}`);
    return error.code;
  }
}

const silent = (): void => undefined;
const secure = (socket: Socket): void => {
  const secureContext = createSecureContext({ cert: material.cert, key: material.key });
  new TLSSocket(socket, { isServer: true, secureContext }).on('error', silent);
};
const known = { serverName: 'localhost', caFile: material.file };

test('a handshake that never comes is waited for only so long', async () => {
  expect(await outcome({ port: await serving(silent), ...known }, { timeoutMs: 50 })).toBe(
    'upstream.unreachable',
  );
});

test('nobody waits for a server when the client has gone, before or meanwhile', async () => {
  const gone = new AbortController();
  const port = await serving(() => gone.abort());
  expect(await outcome({ port, ...known }, { signal: gone.signal })).toBe('upstream.unreachable');
  expect(await outcome({ port, ...known }, { signal: AbortSignal.abort() })).toBe('upstream.unreachable');
});

test('attack: NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment switches nothing off', async () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  expect(await outcome({ port: await serving(secure), serverName: 'localhost' })).toBe('upstream.tls');
});

test.each(['none', 'starttls'] as const)(
  'without TLS from the first octet (%s), on this machine',
  async (tls) => {
    expect(await outcome({ port: await serving(silent), tls })).toBe('connected');
  },
);
