import { once } from 'node:events';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { CAPABILITIES, FakeUpstream, loggedIn } from '../imap-proxy/support/fake-upstream.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from '../imap-proxy/support/listener.ts';
import { certificateFor } from '../support/certificate.ts';

/** What somebody on the way may put behind STARTTLS, on either side, and where a mail server may want to send a client. */

const material = certificateFor('localhost');
const secureContext = createSecureContext({ cert: material.cert, key: material.key });
let upstream: FakeUpstream;
let proxy: TestProxy | null = null;

beforeEach(async () => {
  upstream = await FakeUpstream.start();
});
afterEach(async () => {
  await proxy?.close();
  await upstream.close();
});
afterAll(() => material.remove());

const startTls = { tls: 'starttls', secureContext, allowPlainAuth: false } as const;

/** Both ends, in plain text. */
async function begin(
  changes: Parameters<typeof startTestProxy>[1],
  greeting = `* OK [CAPABILITY ${CAPABILITIES} STARTTLS] hello\r\n`,
): Promise<{ opening: Promise<ImapConversation>; server: ImapConversation }> {
  proxy = await startTestProxy(upstream.port, changes);
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send(greeting);
  return { opening, server };
}

async function encrypted(client: ImapConversation): Promise<ImapConversation> {
  client.socket.removeAllListeners();
  const secure = connectTls({ socket: client.socket, servername: 'localhost', ca: material.cert });
  await once(secure, 'secureConnect');
  return new ImapConversation(secure);
}

test.each([
  ['a command', 'a STARTTLS\r\nb NOOP\r\n'],
  ['a login', 'a STARTTLS\r\nb LOGIN mallory pw\r\n'],
  ['half a command', 'a STARTTLS\r\nb NO'],
  ['a command that a literal would swallow', 'a STARTTLS\r\nb LOGIN {5}\r\n'],
])('39: %s behind the client’s STARTTLS ends the connection, and is never done', async (_what, text) => {
  const { opening, server } = await begin(startTls);
  const client = await opening;
  client.send(text);
  expect(await client.rest()).not.toMatch(/b (?:OK|NO|BAD)/);
  expect(await server.rest()).toBe('');
});

test('39: what was said before TLS counts for nothing behind it', async () => {
  const { opening, server } = await begin(startTls);
  const client = await opening;
  await client.command('ID ("name" "injected")');
  await client.command('STARTTLS');
  const inside = await encrypted(client);
  expect(await inside.command('STARTTLS')).toMatch(/ BAD /);
  inside.send('l LOGIN bob secret\r\nn NOOP\r\n');
  expect(await server.until(/\r\n/)).toMatch(/^l AUTHENTICATE PLAIN /);
  server.send('l OK in\r\n');
  // No ID: the one before TLS may have been anybody's.
  expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
});

const toServer = {
  upstream: { host: '127.0.0.1', port: 0, tls: 'starttls', serverName: 'localhost', caFile: material.file },
} as const;

test.each([
  ['a response', 'S1 OK go on\r\n* OK [ALERT] call this number\r\n'],
  ['capabilities', 'S1 OK go on\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nS2 OK done\r\n'],
  ['half a line', 'S1 OK go on\r\n*'],
  ['PREAUTH', 'S1 OK go on\r\n* PREAUTH hello\r\n'],
])('39: %s behind the mail server’s OK to STARTTLS ends the connection', async (_what, text) => {
  const { opening, server } = await begin({
    upstream: { ...toServer.upstream, port: upstream.port },
  });
  await server.until(/S1 STARTTLS\r\n/);
  server.send(text);
  expect(await (await opening).rest()).toBe('');
});

test('39: mailbox data and alerts before TLS reach no client', async () => {
  const { opening, server } = await begin({ upstream: { ...toServer.upstream, port: upstream.port } });
  await server.until(/S1 STARTTLS\r\n/);
  server.send('* 23 EXISTS\r\n');
  const client = await opening;
  expect(await client.rest()).toBe('');
  expect(proxy?.events.some((each) => each.event === 'imap.protocol-error' && each.side === 'upstream')).toBe(
    true,
  );
});

test('39: the greeting before TLS is forgotten, and what the server says behind it counts', async () => {
  const { opening, server } = await begin(
    { upstream: { ...toServer.upstream, port: upstream.port } },
    '* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] injected\r\n',
  );
  await server.until(/S1 STARTTLS\r\n/);
  server.socket.removeAllListeners();
  const inside = new ImapConversation(new TLSSocket(server.socket, { isServer: true, secureContext }));
  server.send('S1 OK\r\n');
  await inside.until(/S2 CAPABILITY\r\n/);
  inside.send('* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nS2 OK\r\n');
  expect(await (await opening).command('CAPABILITY')).toContain('ID AUTH=PLAIN AUTH=LOGIN\r\n');
});

test.each([
  ['in the greeting', '* PREAUTH [CAPABILITY IMAP4rev1] hello\r\n'],
  ['in lower case', '* preauth hello\r\n'],
])('39: a mail server that says PREAUTH %s logs nobody in', async (_where, greeting) => {
  const { opening } = await begin({}, greeting);
  expect(await (await opening).rest()).toBe('');
  expect(proxy?.events.some((each) => each.event === 'imap.authenticated')).toBe(false);
});

test('39: PREAUTH in the middle of a login logs nobody in', async () => {
  const { opening, server } = await begin({});
  const client = await opening;
  client.send('l LOGIN bob secret\r\n');
  await server.until(/\r\n/);
  server.send('* PREAUTH hello\r\nl OK in\r\n');
  expect(await client.rest()).toMatch(/^\* BYE /);
  expect(proxy?.events.some((each) => each.event === 'imap.authenticated')).toBe(false);
});

test('39: no referral to another server reaches a client, before the login or behind it', async () => {
  const { opening, server } = await begin({});
  const client = await opening;
  client.send('k LOGIN bob wrong\r\n');
  await server.until(/\r\n/);
  server.send('k NO [REFERRAL imap://bob;AUTH=*@evil.example/] Go elsewhere\r\n');
  expect(await client.until(/\r\n/)).toBe('k NO Go elsewhere\r\n');
  client.close();
  await proxy?.close();
  proxy = await startTestProxy(upstream.port);
  const inside = await loggedIn(upstream, proxy.port);
  inside.client.send('a SELECT far\r\n');
  await inside.server.until(/a SELECT far\r\n/);
  inside.server.send('a NO [REFERRAL imap://evil.example/far] Not here\r\n');
  expect(await inside.client.until(/\r\n/)).toBe('a NO Not here\r\n');
});

test('39: what leads past the gateway, or to another server, is not offered, however it is told', async () => {
  const hidden =
    'LOGIN-REFERRALS MAILBOX-REFERRALS JMAPACCESS URLAUTH CATENATE UNAUTHENTICATE NOTIFY UIDONLY XUNHEARD';
  const { opening, server } = await begin({}, `* OK [CAPABILITY IMAP4rev1 ${hidden} AUTH=PLAIN] hello\r\n`);
  const client = await opening;
  client.send('l LOGIN bob secret\r\n');
  await server.until(/\r\n/);
  server.send(
    `* CAPABILITY IMAP4rev1 IDLE ${hidden}\r\n* OK [CAPABILITY IMAP4rev1 IDLE ${hidden}] x\r\nl OK [CAPABILITY IMAP4rev1 IDLE ${hidden}] in\r\n`,
  );
  const told = await client.until(/l OK [^\r\n]*\r\n/);
  expect(told).toMatch(/IDLE/);
  for (const name of hidden.split(' ')) expect(told).not.toContain(name);
  for (const command of [
    'UNAUTHENTICATE',
    'NOTIFY NONE',
    'URLFETCH "imap://x"',
    'GETJMAPACCESS',
    'XUNHEARD',
  ]) {
    expect(await client.command(command)).toMatch(/ BAD /);
  }
  expect(server.waiting).toBe('');
});
