import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { ClientConnection } from '../../src/connections/client-connection.ts';
import { type Listening, type ListenOptions, listen } from '../../src/connections/listen.ts';
import type { Event } from '../../src/log/events.ts';

const open: { destroy(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.destroy();
});

type Served = Listening & { clients: ClientConnection[]; events: Event[]; heard(): Promise<string> };

/** Says `hello`, and hears what clients say until they end. */
async function listening(changes: Partial<ListenOptions> = {}): Promise<Served> {
  const clients: ClientConnection[] = [];
  const events: Event[] = [];
  const said = Promise.withResolvers<string>();
  const started = await listen({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    maxConnections: 10,
    proxyProtocolFrom: [],
    log: { write: (event) => void events.push(event) },
    async serve(client) {
      clients.push(client);
      client.socket.write('hello');
      let text = '';
      client.socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      client.socket.on('end', () => said.resolve(text));
      if (!client.socket.destroyed) await once(client.socket, 'close');
    },
    ...changes,
  });
  open.push(started);
  return { ...started, clients, events, heard: () => said.promise };
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  open.push(socket);
  return socket;
}

/** However it ends: what is still on its way to a server that has closed comes back as a reset. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

/** All that comes until the other side closes. */
async function rest(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  await closed(socket);
  return text;
}

test('without the PROXY protocol a header is what the client says', async () => {
  const server = await listening();
  const socket = await connected(server.port);
  socket.end('PROXY TCP4 192.0.2.7 198.51.100.9 40001 993\r\n');
  expect(await server.heard()).toBe('PROXY TCP4 192.0.2.7 198.51.100.9 40001 993\r\n');
  expect(server.clients[0]).toMatchObject({ remote: { address: '127.0.0.1' }, fromHere: true });
});

test.each([
  ['in one packet', (header: string) => [header]],
  ['octet by octet', (header: string) => [...header]],
])('a balancer’s header %s is taken off, and nothing of what follows', async (_how, pieces) => {
  const server = await listening({ proxyProtocolFrom: ['10.0.0.0/8', '127.0.0.1'] });
  const socket = await connected(server.port);
  socket.setNoDelay(true);
  for (const piece of pieces('PROXY TCP4 192.0.2.7 198.51.100.9 40001 993\r\na LOGIN x\r\n')) {
    await new Promise((resolve) => socket.write(piece, resolve));
  }
  socket.end('b NOOP\r\n');
  expect(await server.heard()).toBe('a LOGIN x\r\nb NOOP\r\n');
  expect(server.clients[0]).toMatchObject({
    remote: { address: '192.0.2.7', port: 40_001 },
    local: { address: '198.51.100.9', port: 993 },
    fromHere: false,
  });
});

test('the balancer’s own check is served as its own, and is no client of this machine', async () => {
  const server = await listening({ proxyProtocolFrom: ['127.0.0.0/8'] });
  const socket = await connected(server.port);
  socket.end('PROXY UNKNOWN\r\nx');
  expect(await server.heard()).toBe('x');
  expect(server.clients[0]).toMatchObject({ remote: { address: '127.0.0.1' }, fromHere: false });
});

test.each([
  ['whose ends the balancer does not know', 'PROXY UNKNOWN\r\n'],
  ['that the balancer says to be of this machine', 'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n'],
  ['of a socket that is not TCP', '\r\n\r\n\0\r\nQUIT\n\x21\x00\0\0'],
])('attack: a client %s counts as none of this machine', async (_what, header) => {
  const server = await listening({ proxyProtocolFrom: ['127.0.0.0/8'] });
  const socket = await connected(server.port);
  socket.end(Buffer.from(`${header}x`, 'latin1'));
  expect(await server.heard()).toBe('x');
  expect(server.clients[0]).toMatchObject({ remote: { address: '127.0.0.1' }, fromHere: false });
});

test.each([
  [
    'attack: a header from somewhere else',
    ['192.0.2.0/24'],
    'PROXY TCP4 127.0.0.1 1.2.3.4 1 2\r\n',
    /no load balancer/,
  ],
  ['a client that came past the balancer', ['127.0.0.1'], 'a LOGIN x y\r\n', /does not begin/],
  ['attack: a second header is no header', ['127.0.0.1'], 'PROXY TCP4 x\r\nPROXY UNKNOWN\r\n', /grammar/],
])('%s is refused without a word', async (_what, proxyProtocolFrom, text, reason) => {
  const server = await listening({ proxyProtocolFrom });
  const socket = await connected(server.port);
  socket.write(text);
  expect(await rest(socket)).toBe('');
  expect(server.clients).toEqual([]);
  expect(server.events).toEqual([
    expect.objectContaining({ event: 'listener.proxy-refused', reason: expect.stringMatching(reason) }),
  ]);
});

test('a connection that is only tried is nothing to tell; one cut off in its header is', async () => {
  const server = await listening({ proxyProtocolFrom: ['127.0.0.1'] });
  const tried = await connected(server.port);
  tried.end();
  await rest(tried);
  const cut = await connected(server.port);
  cut.end('PROXY TCP4 ');
  await rest(cut);
  expect(server.events.map(({ event }) => event)).toEqual(['listener.proxy-refused']);
});

test('those who are too many are told, and those who wait for their header count', async () => {
  const server = await listening({ proxyProtocolFrom: ['127.0.0.1'], maxConnections: 1, tooMany: 'full' });
  const first = await connected(server.port);
  const second = await connected(server.port);
  expect(await rest(second)).toBe('full');
  first.end('PROXY UNKNOWN\r\n');
  expect(await rest(first)).toBe('hello');
});

test('stop waits for those who are served, destroy ends them', async () => {
  const server = await listening();
  const socket = await connected(server.port);
  await once(socket, 'data');
  let isStopped = false;
  const stopped = server.stop().then(() => {
    isStopped = true;
  });
  await expect(connected(server.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(isStopped).toBe(false);
  server.destroy();
  await stopped;
});

test('a port in use is a clear error', async () => {
  const other = createServer();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await expect(listening({ port })).rejects.toMatchObject({
    code: 'listener.port-in-use',
    publicText: expect.stringContaining(`127.0.0.1:${port}: another program`),
  });
  other.close();
});
