import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { afterAll, afterEach, expect, test } from 'vitest';
import { certificateFor } from '../support/certificate.ts';
import { Conversation } from './support/conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { CAPABILITIES, ScriptedServer } from './support/scripted-server.ts';

/** STLS (RFC 2595 §4) on both legs, and what somebody on the way might put before the handshake. */

const material = certificateFor('localhost', '127.0.0.1');
const { cert, key, file: caFile } = material;
afterAll(() => material.remove());

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function proxyBefore(port: number, changes: Parameters<typeof startTestProxy>[1]): Promise<TestProxy> {
  const proxy = await startTestProxy(port, { secureContext: createSecureContext({ cert, key }), ...changes });
  open.push(proxy);
  return proxy;
}

async function upgraded(client: Conversation): Promise<Conversation> {
  client.socket.removeAllListeners('data');
  const socket = connectTls({ socket: client.socket, servername: 'localhost', ca: cert });
  await once(socket, 'secureConnect');
  return new Conversation(socket);
}

test('after STLS everything is as at the beginning, and there is no second one', async () => {
  const server = await ScriptedServer.start([]);
  open.push(server);
  const proxy = await proxyBefore(server.port, { tls: 'starttls', allowPlainAuth: false });
  const plain = await Conversation.open(proxy.port);
  open.push(plain);
  expect((await plain.fetch('CAPA')).toString()).toMatch(/STLS\r\n$/);
  expect(await plain.ask('STLS')).toBe('+OK Begin TLS');
  const client = await upgraded(plain);
  expect((await client.fetch('CAPA')).toString()).toMatch(/SASL PLAIN LOGIN\r\n$/);
  expect(await client.ask('STLS')).toMatch(/^-ERR/);
  await client.ask('USER bob@example.org');
  expect(await client.ask('PASS secret')).toMatch(/^\+OK/);
  expect(await client.ask('STLS')).toMatch(/^-ERR/);
  expect(await client.ask('STAT')).toBe('+OK 0 0');
});

test('what comes with STLS is not said: the connection ends', async () => {
  const server = await ScriptedServer.start([]);
  open.push(server);
  const proxy = await proxyBefore(server.port, { tls: 'starttls', allowPlainAuth: false });
  const client = await Conversation.open(proxy.port);
  open.push(client);
  client.send('STLS\r\nUSER mallory@example.org\r\nPASS x\r\n');
  expect(await client.rest()).toBe('');
  expect(server.commands.filter((command) => command !== 'CAPA')).toEqual([]);
});

test('a user name from before the handshake is forgotten', async () => {
  const server = await ScriptedServer.start([]);
  open.push(server);
  const proxy = await proxyBefore(server.port, { tls: 'starttls' });
  const plain = await Conversation.open(proxy.port);
  open.push(plain);
  await plain.ask('USER mallory@example.org');
  await plain.ask('STLS');
  const client = await upgraded(plain);
  expect(await client.ask('PASS secret')).toBe('-ERR Send USER first');
});

/** A server whose first words are as a test wants them, and that takes TLS after STLS. */
async function startServer(greeting: string, afterStls: string): Promise<{ port: number; heard: string[] }> {
  const heard: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.write(greeting);
    socket.once('data', (octets) => {
      heard.push(octets.toString().trim());
      socket.write(afterStls);
      const secure = new TLSSocket(socket, {
        isServer: true,
        secureContext: createSecureContext({ cert, key }),
      });
      secure.on('error', () => undefined);
      secure.on('data', (more) => {
        heard.push(more.toString().trim());
        secure.write(
          more.toString().startsWith('CAPA') ? `+OK\r\n${CAPABILITIES.join('\r\n')}\r\n.\r\n` : '+OK\r\n',
        );
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  });
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, heard };
}

test('STLS to the server, and nothing before it but STLS', async () => {
  const { port, heard } = await startServer('+OK hello\r\n', '+OK go on\r\n');
  const proxy = await proxyBefore(0, {
    upstream: { host: '127.0.0.1', port, tls: 'starttls', caFile, serverName: 'localhost' },
  });
  const client = await Conversation.login(proxy.port);
  open.push(client);
  expect(heard.slice(0, 2)).toEqual(['STLS', 'CAPA']);
});

test.each([
  ['says more than its greeting', '+OK hello\r\n+OK me too\r\n', '+OK\r\n'],
  ['puts an answer behind its +OK', '+OK hello\r\n', '+OK\r\n+OK\r\nTOP\r\n.\r\n'],
  ['refuses TLS', '+OK hello\r\n', '-ERR no TLS today\r\n'],
])('a server that %s is not used', async (_name, greeting, afterStls) => {
  const { port, heard } = await startServer(greeting, afterStls);
  const proxy = await proxyBefore(0, {
    upstream: { host: '127.0.0.1', port, tls: 'starttls', caFile, serverName: 'localhost' },
  });
  const client = new Conversation(connect(proxy.port, '127.0.0.1'));
  open.push(client);
  expect(await client.rest()).toMatch(/^-ERR \[SYS\/TEMP\] [^\r\n]*\r\n$/);
  expect(heard.filter((line) => line !== 'STLS')).toEqual([]);
});

test.each([
  ['another name', 'mail.example.org', true],
  ['an authority that nobody knows', 'localhost', false],
])('a server with a certificate of %s is not used', async (_name, serverName, known) => {
  const { port } = await startServer('+OK hello\r\n', '+OK\r\n');
  const proxy = await proxyBefore(0, {
    upstream: { host: '127.0.0.1', port, tls: 'starttls', serverName, ...(known ? { caFile } : {}) },
  });
  const client = new Conversation(connect(proxy.port, '127.0.0.1'));
  open.push(client);
  expect(await client.rest()).toMatch(/^-ERR \[SYS\/TEMP\]/);
});

test('the server is told whose connection it is, in a PROXY header and by XCLIENT', async () => {
  const server = await ScriptedServer.start([], {
    capabilities: [...CAPABILITIES, 'XCLIENT ADDR PORT'],
    answer: (command) =>
      command.startsWith('PROXY') ? '' : command.startsWith('XCLIENT') ? '+OK hello\r\n' : null,
  });
  open.push(server);
  const proxy = await proxyBefore(0, {
    upstream: {
      host: '127.0.0.1',
      port: server.port,
      tls: 'none',
      proxyProtocol: 'v1',
      tellClientAddress: true,
    },
  });
  const client = await Conversation.login(proxy.port);
  open.push(client);
  expect(server.commands.slice(0, 4)).toEqual([
    expect.stringMatching(new RegExp(`^PROXY TCP4 127\\.0\\.0\\.1 127\\.0\\.0\\.1 \\d+ ${proxy.port}$`)),
    'CAPA',
    expect.stringMatching(/^XCLIENT ADDR=127\.0\.0\.1 PORT=\d+$/),
    'CAPA',
  ]);
});
