import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { startImapListener } from '../../src/imap-proxy/listener.ts';
import { certificateFor } from '../support/certificate.ts';
import { CAPABILITIES, FakeUpstream } from './support/fake-upstream.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';

const material = certificateFor('localhost');
const { cert, key, file: caFile } = material;
let upstream: FakeUpstream;
let proxy: TestProxy | null;

afterAll(() => material.remove());

beforeEach(async () => {
  upstream = await FakeUpstream.start();
  proxy = null;
});

afterEach(async () => {
  await proxy?.close();
  await upstream.close();
});

/** Both ends before login. */
async function begin(
  changes: Parameters<typeof startTestProxy>[1] = {},
  capabilities = CAPABILITIES,
): Promise<{ client: ImapConversation; server: ImapConversation }> {
  proxy = await startTestProxy(upstream.port, changes);
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send(`* OK [CAPABILITY ${capabilities}] hello\r\n`);
  return { client: await opening, server };
}

function principals(): string[] {
  return (proxy?.events ?? []).flatMap((each) =>
    each.event === 'imap.authenticated' ? [each.principal] : [],
  );
}

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

test.each([
  ['LOGIN with atoms', 'l LOGIN bob@EXAMPLE.org secret\r\n'],
  ['LOGIN with quoted strings', 'l LOGIN "bob@EXAMPLE.org" "secret"\r\n'],
  ['LOGIN with non-synchronising literals', 'l LOGIN {15+}\r\nbob@EXAMPLE.org {6+}\r\nsecret\r\n'],
  ['PLAIN with initial response', `l AUTHENTICATE PLAIN ${base64('\0bob@EXAMPLE.org\0secret')}\r\n`],
  [
    'PLAIN with the same authorization identity',
    `l authenticate plain ${base64('bob@EXAMPLE.org\0bob@EXAMPLE.org\0secret')}\r\n`,
  ],
])("%s: the upstream decides, in its own words, under the client's tag", async (_, text) => {
  const { client, server } = await begin();
  client.send(text);
  expect(await server.until(/\r\n/)).toBe(`l AUTHENTICATE PLAIN ${base64('\0bob@example.org\0secret')}\r\n`);
  server.send(
    '* CAPABILITY IMAP4rev1 COMPRESS=DEFLATE MOVE\r\nl OK [CAPABILITY IMAP4rev1 NOTIFY MOVE] Welcome {5}\r\n',
  );
  expect(await client.until(/l OK [^\r\n]*\r\n/)).toBe(
    '* CAPABILITY IMAP4rev1 MOVE LITERAL+ COMPRESS=DEFLATE INPROGRESS\r\nl OK [CAPABILITY IMAP4rev1 MOVE LITERAL+ COMPRESS=DEFLATE INPROGRESS] Welcome {5)\r\n',
  );
  client.send('n NOOP\r\n');
  await server.until(/n NOOP\r\n/);
  expect(principals()).toEqual(['bob@example.org']);
});

test('synchronising literals and challenges are asked for; a refusal is handed back', async () => {
  const { client, server } = await begin();
  client.send('l LOGIN {3}\r\n');
  await client.until(/^\+ [^\r\n]*\r\n/);
  client.send('bob {2}\r\n');
  await client.until(/^\+ [^\r\n]*\r\n/);
  client.send('pw\r\n');
  await server.until(/l AUTHENTICATE PLAIN [^\r\n]*\r\n/);
  server.send('l NO [AUTHENTICATIONFAILED] wrong\r\n');
  expect(await client.until(/\r\n/)).toBe('l NO [AUTHENTICATIONFAILED] wrong\r\n');
  client.send('m AUTHENTICATE LOGIN\r\n');
  await client.until(/^\+ [^\r\n]*\r\n/);
  client.send(`${base64('bob')}\r\n`);
  await client.until(/^\+ [^\r\n]*\r\n/);
  client.send(`${base64('right')}\r\n`);
  expect(await server.until(/\r\n/)).toBe(`m AUTHENTICATE PLAIN ${base64('\0bob\0right')}\r\n`);
  server.send('m OK in\r\n');
  await client.until(/m OK in\r\n/);
  expect(JSON.stringify(proxy?.events)).not.toContain('right');
});

test('an upstream without SASL gets LOGIN with literals, octet for octet', async () => {
  const { client, server } = await begin({}, 'IMAP4rev1');
  client.send('l LOGIN bob "a\\"b {3}"\r\n');
  await server.until(/l LOGIN \{3\}\r\n/);
  server.send('+ \r\n');
  await server.until(/bob \{7\}\r\n/);
  server.send('+ \r\n');
  expect(await server.until(/\r\n/)).toBe('a"b {3}\r\n');
});

test('XOAUTH2: the token goes up, the reason of a refusal comes down', async () => {
  const { client, server } = await begin({}, 'IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED');
  const response = base64('user=bob@example.org\x01auth=Bearer abc\x01\x01');
  client.send(`l AUTHENTICATE XOAUTH2 ${response}\r\n`);
  await server.until(/l AUTHENTICATE XOAUTH2\r\n/);
  server.send('+ \r\n');
  expect(await server.until(/\r\n/)).toBe(`${response}\r\n`);
  server.send('+ eyJzdGF0dXMiOiI0MDEifQ==\r\n');
  expect(await client.until(/\r\n/)).toBe('+ eyJzdGF0dXMiOiI0MDEifQ==\r\n');
  client.send('\r\n');
  expect(await server.until(/\r\n/)).toBe('\r\n');
  server.send('l NO expired\r\n');
  await client.until(/l NO expired\r\n/);
  expect(principals()).toEqual([]);
});

test.each([
  [
    'another authorization identity',
    `AUTHENTICATE PLAIN ${base64('alice\0bob\0pw')}`,
    /^l NO \[AUTHORIZATIONFAILED\]/,
  ],
  ['a third NUL', `AUTHENTICATE PLAIN ${base64('\0bob\0pw\0x')}`, /^l BAD/],
  ['a line end in the password', `AUTHENTICATE PLAIN ${base64('\0bob\0pw\r\nx LOGOUT')}`, /^l BAD/],
  ['no base64', 'AUTHENTICATE PLAIN !!!', /^l BAD/],
  ['a mechanism that is not offered', 'AUTHENTICATE CRAM-MD5', /^l NO/],
  ['a command of a later state', 'SELECT INBOX', /^l BAD/],
])('refused here: %s', async (_, text, expected) => {
  const { client } = await begin();
  client.send(`l ${text}\r\n`);
  expect(await client.until(/\r\n/)).toMatch(expected);
});

test('greeting and CAPABILITY tell the same; ID and NOOP are answered', async () => {
  proxy = await startTestProxy(upstream.port);
  const opening = ImapConversation.open(proxy.port);
  (await upstream.accept()).send('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN STARTTLS COMPRESS=DEFLATE] x\r\n');
  const client = await opening;
  const list = 'IMAP4rev1 SASL-IR LITERAL- ID AUTH=PLAIN AUTH=LOGIN';
  expect(await client.command('CAPABILITY')).toContain(`* CAPABILITY ${list}\r\n`);
  client.send('i ID ("name" {3+}\r\nfoo)\r\n');
  expect(await client.until(/i OK[^\r\n]*\r\n/)).toContain('* ID ("name" "Sealgate")');
});

test('attack: PREAUTH of the upstream logs nobody in', async () => {
  proxy = await startTestProxy(upstream.port);
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send('* PREAUTH welcome\r\n');
  const client = await opening;
  expect(await client.rest()).toBe('');
  expect(proxy.events.some((each) => each.event === 'imap.protocol-error' && each.side === 'upstream')).toBe(
    true,
  );
});

test('an upstream that is away: BYE with a reason, and its address is not for strangers', async () => {
  const closed = await FakeUpstream.start();
  const { port } = closed;
  await closed.close();
  proxy = await startTestProxy(port);
  const socket = (await import('node:net')).connect(proxy.port, '127.0.0.1');
  const client = new ImapConversation(socket);
  expect(await client.rest()).toMatch(
    /^\* BYE \[UNAVAILABLE\] The mail server cannot be reached; try again later[^\r\n]*\r\n$/,
  );
  expect(proxy.events).toContainEqual(
    expect.objectContaining({
      event: 'imap.protocol-error',
      reason: expect.stringContaining(`127.0.0.1:${port}`),
    }),
  );
});

test('without TLS no password is taken', async () => {
  const { client } = await begin({
    tls: 'starttls',
    secureContext: createSecureContext({ cert, key }),
    allowPlainAuth: false,
  });
  expect(await client.command('CAPABILITY')).toContain(
    '* CAPABILITY IMAP4rev1 SASL-IR LITERAL- ID STARTTLS LOGINDISABLED\r\n',
  );
  expect(await client.command('LOGIN bob secret')).toMatch(/NO \[PRIVACYREQUIRED\]/);
});

test('STARTTLS of a client, then login', async () => {
  const { client, server } = await begin({
    tls: 'starttls',
    secureContext: createSecureContext({ cert, key }),
    allowPlainAuth: false,
  });
  await client.command('STARTTLS');
  client.socket.removeAllListeners();
  const secure = connectTls({ socket: client.socket, servername: 'localhost', ca: cert });
  await once(secure, 'secureConnect');
  const inside = new ImapConversation(secure);
  expect(await inside.command('CAPABILITY')).toContain(
    '* CAPABILITY IMAP4rev1 SASL-IR LITERAL- ID AUTH=PLAIN AUTH=LOGIN\r\n',
  );
  inside.send('l LOGIN bob secret\r\n');
  await server.until(/l AUTHENTICATE PLAIN [^\r\n]*\r\n/);
  server.send('l OK in\r\n');
  await inside.until(/l OK in\r\n/);
  inside.close();
});

test('attack: a command behind STARTTLS, in the same packet, ends the connection', async () => {
  const { client } = await begin({
    tls: 'starttls',
    secureContext: createSecureContext({ cert, key }),
    allowPlainAuth: false,
  });
  client.send('a STARTTLS\r\nb NOOP\r\n');
  expect(await client.rest()).not.toContain('b OK');
});

test('attack: an upstream response behind the OK to STARTTLS ends the connection', async () => {
  proxy = await startTestProxy(upstream.port, {
    upstream: { host: '127.0.0.1', port: upstream.port, tls: 'starttls', serverName: 'localhost', caFile },
  });
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send('* OK [CAPABILITY IMAP4rev1 STARTTLS] x\r\n');
  await server.until(/S1 STARTTLS\r\n/);
  server.send('S1 OK\r\n* OK [ALERT] call this number\r\n');
  const client = await opening;
  expect(await client.rest()).toBe('');
});

test('STARTTLS to the upstream: capabilities are asked again, what was said before is forgotten', async () => {
  proxy = await startTestProxy(upstream.port, {
    upstream: { host: '127.0.0.1', port: upstream.port, tls: 'starttls', serverName: 'localhost', caFile },
  });
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send('* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] x\r\n');
  await server.until(/S1 STARTTLS\r\n/);
  server.socket.removeAllListeners();
  const secure = new TLSSocket(server.socket, {
    isServer: true,
    secureContext: createSecureContext({ cert, key }),
  });
  const inside = new ImapConversation(secure);
  server.send('S1 OK\r\n');
  await inside.until(/S2 CAPABILITY\r\n/);
  inside.send('* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nS2 OK\r\n');
  const client = await opening;
  expect(await client.command('CAPABILITY')).toContain('ID AUTH=PLAIN AUTH=LOGIN\r\n');
  client.close();
});

test('an upstream whose certificate is not trusted is not used', async () => {
  proxy = await startTestProxy(upstream.port, {
    upstream: { host: '127.0.0.1', port: upstream.port, tls: 'starttls', serverName: 'localhost' },
  });
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send('* OK x\r\n');
  await server.until(/S1 STARTTLS\r\n/);
  server.socket.removeAllListeners();
  const secure = new TLSSocket(server.socket, {
    isServer: true,
    secureContext: createSecureContext({ cert, key }),
  });
  secure.on('error', () => undefined);
  server.socket.write('S1 OK\r\n');
  const client = await opening;
  expect(await client.rest()).toBe('');
});

test('a port in use is a clear error', async () => {
  const other = createServer();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await expect(startTestProxy(upstream.port, { port })).rejects.toMatchObject({
    code: 'listener.port-in-use',
    publicText: expect.stringContaining(`127.0.0.1:${port}`),
  });
  other.close();
  expect(typeof startImapListener).toBe('function');
});

test('one client too many hears why it is not served', async () => {
  const { client } = await begin({ maxConnections: 1 });
  const second = new ImapConversation(connect(proxy?.port ?? 0, '127.0.0.1'));
  expect(await second.rest()).toBe('* BYE [UNAVAILABLE] Too many connections; try again later\r\n');
  client.close();
});

test('attack: no password goes to a server that takes none, whatever the client says', async () => {
  const { client, server } = await begin({}, 'IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED');
  expect(await client.command('CAPABILITY')).toContain(' ID AUTH=XOAUTH2 LOGINDISABLED\r\n');
  expect(await client.command('LOGIN bob secret')).toMatch(/ NO \[CANNOT\]/);
  expect(await client.command(`AUTHENTICATE PLAIN ${base64('\0bob\0secret')}`)).toMatch(/ NO \[CANNOT\]/);
  client.close();
  expect(await server.rest()).toBe('');
});
