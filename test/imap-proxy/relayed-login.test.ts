import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeUpstream } from './support/fake-upstream.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';

/** Logins that are passed on, names that ask for stored mail, and what is said of the client. */

let upstream: FakeUpstream;
let proxy: TestProxy | null;

beforeEach(async () => {
  upstream = await FakeUpstream.start();
  proxy = null;
});

afterEach(async () => {
  await proxy?.close();
  await upstream.close();
});

async function begin(
  changes: Parameters<typeof startTestProxy>[1],
  capabilities = 'IMAP4rev1 SASL-IR ID AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS AUTH=CRAM-MD5 AUTH=GSSAPI',
): Promise<{ client: ImapConversation; server: ImapConversation }> {
  proxy = await startTestProxy(upstream.port, changes);
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send(`* OK [CAPABILITY ${capabilities}] hello\r\n`);
  return { client: await opening, server };
}

const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

function principals(): string[] {
  return (proxy?.events ?? []).flatMap((each) =>
    each.event === 'imap.authenticated' ? [each.principal] : [],
  );
}

test('none is offered unless an administrator permits it, and never with channel binding or without a name', async () => {
  const { client } = await begin({});
  expect(await client.command('CAPABILITY')).toContain('ID AUTH=PLAIN AUTH=LOGIN\r\n');
  expect(await client.command('AUTHENTICATE SCRAM-SHA-256')).toMatch(/NO \[CANNOT\]/);
  await proxy?.close();
  const permitted = await begin({ relayMechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5'] });
  expect(await permitted.client.command('CAPABILITY')).toContain(
    'AUTH=LOGIN AUTH=SCRAM-SHA-256 AUTH=CRAM-MD5\r\n',
  );
  for (const mechanism of ['SCRAM-SHA-256-PLUS', 'GSSAPI', 'SCRAM-SHA-1']) {
    expect(await permitted.client.command(`AUTHENTICATE ${mechanism}`)).toMatch(/NO \[CANNOT\]/);
  }
});

test('SCRAM goes up and down as it is; the name in it counts when the upstream says OK', async () => {
  const { client, server } = await begin({ relayMechanisms: ['SCRAM-SHA-256'] });
  const first = base64('n,,n=bob@EXAMPLE.org,r=abc');
  client.send('l AUTHENTICATE SCRAM-SHA-256\r\n');
  expect(await client.until(/\r\n/)).toBe('+ \r\n');
  client.send(`${first}\r\n`);
  expect(await server.until(/\r\n/)).toBe(`l AUTHENTICATE SCRAM-SHA-256 ${first}\r\n`);
  server.send(`+ ${base64('r=abcdef,s=x,i=4096')}\r\n`);
  expect(await client.until(/\r\n/)).toBe(`+ ${base64('r=abcdef,s=x,i=4096')}\r\n`);
  client.send(`${base64('c=biws,r=abcdef,p=proof')}\r\n`);
  expect(await server.until(/\r\n/)).toBe(`${base64('c=biws,r=abcdef,p=proof')}\r\n`);
  server.send(`+ ${base64('v=verifier')}\r\n`);
  await client.until(/\r\n/);
  client.send('\r\n');
  expect(await server.until(/\r\n/)).toBe('\r\n');
  expect(principals()).toEqual([]);
  server.send('l OK in\r\n');
  await client.until(/l OK in\r\n/);
  expect(principals()).toEqual(['bob@example.org']);
});

test('CRAM-MD5: the name is in the answer', async () => {
  const { client, server } = await begin({ relayMechanisms: ['CRAM-MD5'] });
  client.send('l AUTHENTICATE CRAM-MD5\r\n');
  expect(await server.until(/\r\n/)).toBe('l AUTHENTICATE CRAM-MD5\r\n');
  server.send(`+ ${base64('<1@x>')}\r\n`);
  await client.until(/\r\n/);
  client.send(`${base64(`bob ${'a'.repeat(32)}`)}\r\n`);
  await server.until(/\r\n/);
  server.send('l OK in\r\n');
  await client.until(/l OK in\r\n/);
  expect(principals()).toEqual(['bob']);
});

test.each([
  ['another authorization identity', 'n,a=alice,n=bob,r=abc', /^l NO \[AUTHORIZATIONFAILED\]/],
  ['channel binding', 'p=tls-exporter,,n=bob,r=abc', /^l BAD/],
])('attack: SCRAM with %s does not go up', async (_what, first, expected) => {
  const { client, server } = await begin({ relayMechanisms: ['SCRAM-SHA-256'] });
  client.send(`l AUTHENTICATE SCRAM-SHA-256 ${base64(first)}\r\n`);
  expect(await client.until(/\r\n/)).toMatch(expected);
  expect(server.waiting).toBe('');
});

test('attack: an upstream that says OK before it was told a name lets nobody in', async () => {
  const { client, server } = await begin({ relayMechanisms: ['CRAM-MD5'] });
  client.send('l AUTHENTICATE CRAM-MD5\r\n');
  await server.until(/\r\n/);
  server.send('l OK in\r\n');
  await client.rest();
  expect(principals()).toEqual([]);
});

test.each([
  ['no base64', 'x LOGOUT'],
  ['a name that is none', base64('bob')],
  ['the wish to stop', '*'],
])('%s in an answer takes the attempt back', async (_what, answer) => {
  const { client, server } = await begin({ relayMechanisms: ['CRAM-MD5'] });
  client.send('l AUTHENTICATE CRAM-MD5\r\n');
  await server.until(/\r\n/);
  server.send('+ PDFAeD4=\r\n');
  await client.until(/\r\n/);
  client.send(`${answer}\r\n`);
  expect(await server.until(/\r\n/)).toBe('*\r\n');
  server.send('l BAD cancelled\r\n');
  expect(await client.until(/\r\n/)).toBe('l BAD cancelled\r\n');
});

test('attack: a challenge that is no base64 reaches no client', async () => {
  const { client, server } = await begin({ relayMechanisms: ['CRAM-MD5'] });
  client.send('l AUTHENTICATE CRAM-MD5\r\n');
  await server.until(/\r\n/);
  server.send('+ not base64 at all\r\n');
  expect(await client.rest()).toMatch(/^\* BYE /);
});

test('the client’s ID goes up once, after the login, and without what only a proxy may say', async () => {
  const { client, server } = await begin({});
  client.send('a ID ("name" {3+}\r\nOld)\r\n');
  await client.until(/a OK[^\r\n]*\r\n/);
  client.send(
    'b ID ("name" {7+}\r\nOutlook "x-originating-ip" "192.0.2.66")\r\nl LOGIN {3+}\r\nbob {2+}\r\npw\r\nc NOOP\r\n',
  );
  expect(await server.until(/\r\n/)).toMatch(/^l AUTHENTICATE PLAIN /);
  server.send('l OK in\r\n');
  expect(await server.until(/\r\n/)).toBe('S4 ID ("name" "Outlook")\r\n');
  server.send('* ID ("name" "Dovecot")\r\n* OK [ALERT] Down at five\r\nS4 OK done\r\n');
  expect(await server.until(/\r\n/)).toBe('c NOOP\r\n');
  server.send('c OK done\r\n');
  expect(await client.until(/c OK done\r\n/)).toBe(
    '* ID ("name" "Sealgate")\r\nb OK Done\r\nl OK in\r\n* OK [ALERT] Down at five\r\nc OK done\r\n',
  );
  client.send('d ID ("name" {7}\r\n');
  await client.until(/^\+ [^\r\n]*\r\n/);
  client.send('Outlook "X-Session-Id" "forged")\r\ne ID (name)\r\n');
  expect(await server.until(/\r\n/)).toBe('d ID ("name" "Outlook")\r\n');
  server.send('* ID NIL\r\nd OK done\r\n');
  const answers = await client.until(/d OK done\r\n/);
  expect(answers).toContain('* ID NIL\r\n');
});

test('an upstream that is to be told hears the client’s address before the login', async () => {
  proxy = await startTestProxy(upstream.port, {
    proxyProtocolFrom: ['127.0.0.1'],
    upstream: { host: '127.0.0.1', port: upstream.port, tls: 'none', tellClientAddress: true },
  });
  const socket = connect(proxy.port, '127.0.0.1');
  await once(socket, 'connect');
  const client = new ImapConversation(socket);
  client.send('PROXY TCP4 192.0.2.7 198.51.100.9 40001 993\r\n');
  const server = await upstream.accept();
  server.send('* OK [CAPABILITY IMAP4rev1 ID AUTH=PLAIN] hello\r\n');
  expect(await server.until(/\r\n/)).toBe(
    'S3 ID ("x-originating-ip" "192.0.2.7" "x-originating-port" "40001" "x-connected-ip" "198.51.100.9" "x-connected-port" "993")\r\n',
  );
  server.send('* ID NIL\r\nS3 OK\r\n');
  await client.until(/^\* OK [^\r\n]*\r\n/);
  expect(proxy.events[0]).toMatchObject({ event: 'imap.connected', remote: '192.0.2.7' });
});

test('a PROXY header comes before anything else', async () => {
  proxy = await startTestProxy(upstream.port, {
    upstream: { host: '127.0.0.1', port: upstream.port, tls: 'none', proxyProtocol: 'v1' },
  });
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  const header = await server.until(/\r\n/);
  server.send('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n');
  const client = await opening;
  expect(header).toBe(`PROXY TCP4 127.0.0.1 127.0.0.1 ${client.socket.localPort} ${proxy.port}\r\n`);
});

test('a name with the suffix logs in without it; then client and upstream talk as they like', async () => {
  const { client, server } = await begin({ rawLoginSuffix: '+raw' });
  client.send('l LOGIN bob@example.org+raw pw\r\nn UNHEARDOF\r\n');
  expect(await server.until(/\r\n/)).toBe(`l AUTHENTICATE PLAIN ${base64('\0bob@example.org\0pw')}\r\n`);
  const said =
    '* CAPABILITY IMAP4rev2 COMPRESS=DEFLATE\r\nl OK [CAPABILITY IMAP4rev2 URLAUTH] in {5}\r\n* 1 FETCH (X {3}\r\nabc)\r\n';
  server.send(said);
  expect(await client.until(/abc\)\r\n/)).toBe(said);
  expect(await server.until(/\r\n/)).toBe('n UNHEARDOF\r\n');
  expect(proxy?.events).toContainEqual(
    expect.objectContaining({ event: 'imap.authenticated', principal: 'bob@example.org', asStored: true }),
  );
  server.close();
  expect(await client.rest()).toBe('');
});
