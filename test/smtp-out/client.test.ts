import { createServer, connect as netConnect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { readExtensions } from '../../src/smtp/extensions.ts';
import { SmtpClient } from '../../src/smtp-out/client.ts';

let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

/** A client, and the server's end of its connection. */
async function pair(
  keywords: readonly string[] = ['PIPELINING'],
): Promise<{ client: SmtpClient; server: Socket; heard: string[] }> {
  const accepted = Promise.withResolvers<Socket>();
  const listener = createServer({ noDelay: true }, accepted.resolve);
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  const raw = netConnect(address !== null && typeof address === 'object' ? address.port : 0, '127.0.0.1');
  const server = await accepted.promise;
  const heard: string[] = [];
  server.on('data', (chunk) => heard.push(chunk.toString('latin1')));
  server.on('error', () => server.destroy());
  const client = new SmtpClient(raw, 'upstream.test:25');
  client.useExtensions(readExtensions({ code: 250, lines: ['upstream.test', ...keywords] }));
  ends.push(() => {
    client.abandon();
    server.destroy();
    listener.close();
  });
  return { client, server, heard };
}

const next = (socket: Socket) => new Promise<void>((resolve) => socket.once('data', () => resolve()));

test('commands of one tick leave in one segment; replies are given out in order', async () => {
  const { client, server, heard } = await pair();
  const answers = Promise.all([client.command('NOOP a'), client.command('NOOP b'), client.command('NOOP c')]);
  await next(server);
  expect(heard).toEqual(['NOOP a\r\nNOOP b\r\nNOOP c\r\n']);
  server.write('250 a\r\n550-b\r\n');
  server.write('550 b\r\n250 c\r\n');
  expect(
    (await answers).map((answer) => (answer.kind === 'reply' ? answer.reply.lines.join() : answer.kind)),
  ).toEqual(['a', 'b,b', 'c']);
});

test('without PIPELINING the next command waits for the reply', async () => {
  const { client, server, heard } = await pair([]);
  const answers = Promise.all([client.command('NOOP a'), client.command('NOOP b')]);
  await next(server);
  expect(heard).toEqual(['NOOP a\r\n']);
  server.write('250 a\r\n');
  await next(server);
  expect(heard).toEqual(['NOOP a\r\n', 'NOOP b\r\n']);
  server.write('250 b\r\n');
  expect((await answers).map((answer) => answer.kind)).toEqual(['reply', 'reply']);
});

test.each(['NOOP\r\nQUIT', 'NOOP\n', 'NOOP\0'])(
  'a command that would be two is a defect: %j',
  async (line) => {
    const { client } = await pair();
    expect(() => client.command(line)).toThrow('line end');
  },
);

test('a loss answers everything that is under way, and everything after it', async () => {
  const { client, server } = await pair();
  const lost: string[] = [];
  client.whenLost((reason) => lost.push(reason));
  const answers = Promise.all([client.command('NOOP a'), client.command('NOOP b')]);
  await next(server);
  server.write('250 a\r\n250 unfinished', () => server.destroy());
  expect((await answers).map((answer) => answer.kind)).toEqual(['reply', 'lost']);
  expect((await client.command('NOOP c')).kind).toBe('lost');
  expect((await client.data(bufferSource(Buffer.from('x\r\n')))).kind).toBe('lost');
  expect((await client.secret(Buffer.from('s\r\n'))).kind).toBe('lost');
  expect(lost.length).toBe(1);
});

test.each([
  ['250 nobody asked\r\n', 'it sent a reply that nobody asked for'],
  ['421 4.3.2 bye\r\n', 'it said 421 4.3.2 bye'],
  ['hello\r\n', 'a line is no reply'],
  ['250 ok\n', 'a reply has a bare CR or LF'],
])('a server that says %j unasked is lost: %s', async (text, reason) => {
  const { client, server } = await pair();
  const lost = new Promise((resolve) => client.whenLost(resolve));
  server.write(text);
  expect(await lost).toBe(reason);
});

test('a server that does not reply in time is lost', async () => {
  const { client } = await pair();
  expect(await client.command('NOOP', 20)).toEqual({ kind: 'lost', reason: 'it did not reply in time' });
});

test('a message is sent only after 354, stuffed, in one segment', async () => {
  const { client, server, heard } = await pair();
  const answer = client.data(bufferSource(Buffer.from('.a\r\nb')));
  await next(server);
  expect(heard).toEqual(['DATA\r\n']);
  server.write('354 go\r\n');
  await next(server);
  expect(heard[1]).toBe('..a\r\nb\r\n.\r\n');
  server.write('250 2.0.0 ok\r\n');
  expect(await answer).toEqual({ kind: 'reply', reply: { code: 250, lines: ['2.0.0 ok'] } });
});

test('a reply to DATA other than 354 is the answer, and no message follows', async () => {
  const { client, server, heard } = await pair();
  const answer = client.data(bufferSource(Buffer.from('x\r\n')));
  await next(server);
  server.write('554 5.5.1 no\r\n');
  expect(await answer).toEqual({ kind: 'reply', reply: { code: 554, lines: ['5.5.1 no'] } });
  expect(heard).toEqual(['DATA\r\n']);
});

test('250 to DATA is no acceptance of a message that was never asked for', async () => {
  const { client, server, heard } = await pair();
  const answer = client.data(bufferSource(Buffer.from('x\r\n')));
  await next(server);
  server.write('250 2.0.0 ok\r\n');
  expect(await answer).toEqual({ kind: 'lost', reason: 'it answered DATA with 250 2.0.0 ok', unsent: true });
  expect(heard).toEqual(['DATA\r\n']);
  expect(client.lost).not.toBeNull();
});

test('250 before the message has been sent whole is no acceptance', async () => {
  const { client, server } = await pair();
  const answer = client.data(bufferSource(Buffer.alloc(30_000_000, 'x')));
  await next(server);
  // Both at once: the second can only be meant for a message that it has not seen.
  server.pause();
  server.write('354 go\r\n250 2.0.0 got it\r\n');
  const outcome = await answer;
  expect(outcome.kind).toBe('lost');
});

test('a refusal before the message has been sent whole is heard, and the connection is not used again', async () => {
  const { client, server } = await pair();
  const answer = client.data(bufferSource(Buffer.alloc(30_000_000, 'x')));
  await next(server);
  server.write('354 go\r\n');
  await next(server);
  server.pause();
  server.write('552 5.3.4 enough\r\n');
  expect(await answer).toEqual({ kind: 'reply', reply: { code: 552, lines: ['5.3.4 enough'] } });
  expect(client.lost).not.toBeNull();
});

test('a secret is overwritten once it has been sent', async () => {
  const { client, server, heard } = await pair();
  const line = Buffer.from('AUTH PLAIN AGEAYg==\r\n');
  const answer = client.secret(line);
  await next(server);
  server.write('235 ok\r\n');
  await answer;
  expect(heard).toEqual(['AUTH PLAIN AGEAYg==\r\n']);
  expect(line.equals(Buffer.alloc(line.length))).toBe(true);
});

test('RFC 3207 response injection: what came behind the 220 ends the connection', async () => {
  for (const text of ['220 go\r\n250 injected\r\n', '220 go\r\n250-inj', '220 go\r\n2']) {
    const { client, server } = await pair();
    const answer = client.command('STARTTLS');
    await next(server);
    server.write(text);
    await answer;
    expect(client.detach()).toBeNull();
    expect(client.lost).not.toBeNull();
  }
});

test('QUIT is said where nothing is under way', async () => {
  const { client, server, heard } = await pair();
  client.quit();
  await next(server);
  expect(heard).toEqual(['QUIT\r\n']);
});
