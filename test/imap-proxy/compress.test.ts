import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { constants, createDeflateRaw, createInflateRaw, deflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { deflated } from '../../src/imap-proxy/deflate.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { closeSocketPairs, socketPair } from './support/socket-pair.ts';

let upstream: FakeUpstream;
let proxy: TestProxy;

beforeEach(async () => {
  upstream = await FakeUpstream.start();
});
afterEach(async () => {
  closeSocketPairs();
  await proxy?.close();
  await upstream.close();
});

/** The other end of a connection with DEFLATE on it, as another program would have it: zlib's own settings. */
function inflated(socket: Socket): ImapConversation {
  socket.removeAllListeners();
  socket.on('error', () => undefined);
  const out = createDeflateRaw({ flush: constants.Z_SYNC_FLUSH });
  const into = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH });
  socket.pipe(into);
  out.pipe(socket);
  const both = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => void out.write(chunk, done),
  });
  into.on('data', (chunk: Buffer) => both.push(chunk));
  into.on('end', () => both.push(null));
  return new ImapConversation(both as Socket);
}

async function compressed(conversation: ImapConversation): Promise<ImapConversation> {
  expect(await conversation.command('COMPRESS DEFLATE')).toMatch(/^c\d+ OK /);
  return inflated(conversation.socket);
}

test('a client that asks for it talks deflated, the upstream as ever', async () => {
  proxy = await startTestProxy(upstream.port);
  const { client, server } = await loggedIn(upstream, proxy.port);
  const inside = await compressed(client);
  inside.send('a LIST "" *\r\nb APPEND x {5+}\r\nabcde\r\n');
  expect(await server.until(/abcde\r\n/)).toBe('a LIST "" *\r\nb APPEND x {5+}\r\nabcde\r\n');
  server.send('* LIST () "/" {3}\r\na"b\r\na OK done\r\nb OK done\r\n');
  expect(await inside.until(/b OK done\r\n/)).toBe('* LIST () "/" {3}\r\na"b\r\na OK done\r\nb OK done\r\n');
  expect(await inside.command('COMPRESS DEFLATE')).toMatch(/NO \[COMPRESSIONACTIVE\]/);
  inside.send('z LOGOUT\r\n');
  await server.until(/z LOGOUT\r\n/);
  server.send('* BYE bye\r\nz OK done\r\n');
  server.socket.end();
  expect(await inside.rest()).toContain('* BYE bye\r\nz OK done\r\n');
});

test('what a client deflates before it has the answer ends no command in the middle', async () => {
  proxy = await startTestProxy(upstream.port);
  const { client, server } = await loggedIn(upstream, proxy.port);
  client.send('a COMPRESS DEFLATE\r\nb NOOP\r\n');
  expect(await client.until(/a NO [^\r\n]*\r\n/)).toContain('[CLIENTBUG]');
  await server.until(/b NOOP\r\n/);
  server.send('b OK done\r\n');
  await client.until(/b OK done\r\n/);
});

test.each(['COMPRESS', 'COMPRESS GZIP', 'COMPRESS DEFLATE x'])('%s is refused', async (command) => {
  proxy = await startTestProxy(upstream.port);
  const { client } = await loggedIn(upstream, proxy.port);
  expect(await client.command(command)).toMatch(/ BAD /);
});

test('what comes behind the answer in one packet with it is deflated', async () => {
  proxy = await startTestProxy(upstream.port, { compressUpstream: true });
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send(`* OK [CAPABILITY ${CAPABILITIES} COMPRESS=DEFLATE] hello\r\n`);
  const client = await opening;
  client.send('l LOGIN bob pw\r\na NOOP\r\n');
  await server.until(/\r\n/);
  server.send('l OK in\r\n');
  await server.until(/S5 COMPRESS DEFLATE\r\n/);
  const early = deflateRawSync(Buffer.from('* OK [ALERT] early\r\n'), {
    finishFlush: constants.Z_SYNC_FLUSH,
  });
  server.send(Buffer.concat([Buffer.from('S5 OK DEFLATE active\r\n'), early]));
  expect(await client.until(/early\r\n/)).toContain('* OK [ALERT] early\r\n');
  const into = createInflateRaw();
  server.socket.pipe(into);
  into.write(Buffer.from(server.waiting, 'latin1'));
  const chunks: Buffer[] = [];
  while (!Buffer.concat(chunks).includes('a NOOP\r\n')) chunks.push((await once(into, 'data'))[0] as Buffer);
});

test('an upstream that offers it is left alone where nobody wants it, and one that refuses it, too', async () => {
  proxy = await startTestProxy(upstream.port);
  const plain = await loggedIn(upstream, proxy.port, `${CAPABILITIES} COMPRESS=DEFLATE`);
  plain.client.send('a NOOP\r\n');
  expect(await plain.server.until(/\r\n/)).toBe('a NOOP\r\n');
  await proxy.close();
  proxy = await startTestProxy(upstream.port, { compressUpstream: true });
  const refused = await loggedIn(upstream, proxy.port, `${CAPABILITIES} COMPRESS=DEFLATE`);
  await refused.server.until(/S5 COMPRESS DEFLATE\r\n/);
  refused.server.send('S5 NO not now\r\n');
  refused.client.send('a NOOP\r\n');
  expect(await refused.server.until(/\r\n/)).toBe('a NOOP\r\n');
});

test('attack: octets that are not deflated end the connection', async () => {
  proxy = await startTestProxy(upstream.port);
  const { client, server } = await loggedIn(upstream, proxy.port);
  expect(await client.command('COMPRESS DEFLATE')).toMatch(/ OK /);
  client.send('a LOGOUT\r\n'.repeat(20));
  await client.rest();
  expect(await server.rest()).toBe('');
});

test('attack: a little that inflates to very much ends the connection', async () => {
  proxy = await startTestProxy(upstream.port);
  const { client, server } = await loggedIn(upstream, proxy.port);
  expect(await client.command('COMPRESS DEFLATE')).toMatch(/ OK /);
  const size = 64 * 1024 * 1024;
  let arrived = 0;
  server.socket.removeAllListeners('data');
  server.socket.on('data', (chunk: Buffer) => {
    arrived += chunk.length;
  });
  const bomb = createDeflateRaw({ level: 9 });
  bomb.pipe(client.socket, { end: false });
  bomb.write(`a APPEND x {${size}+}\r\n`);
  bomb.write(Buffer.alloc(size, 'A'));
  bomb.write(`\r\nb APPEND x {${size}+}\r\n`);
  bomb.write(Buffer.alloc(size, 'A'));
  bomb.flush();
  await client.rest();
  expect(arrived).toBeGreaterThan(size / 2);
  expect(arrived).toBeLessThan(1.6 * size);
});

test('attack: a mail of nothing but blanks ends no session, however well the server compresses it', async () => {
  const { wire, peer } = await socketPair();
  const { source } = deflated(wire.release(), 'server', Buffer.alloc(0));
  const size = 96 * 1024 * 1024;
  const theirs = createDeflateRaw({ level: 9, flush: constants.Z_SYNC_FLUSH });
  theirs.pipe(peer);
  theirs.end(Buffer.alloc(size, ' '));
  let arrived = 0;
  for await (const chunk of source) arrived += (chunk as Buffer).length;
  expect(arrived).toBe(size);
});
