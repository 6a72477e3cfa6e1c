import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MailServerOptions } from '../../src/connections/mail-server.ts';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { freePort } from '../../src/evaluation/free-port.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy as startImap } from '../imap-proxy/support/listener.ts';
import { Conversation } from '../pop3-proxy/support/conversation.ts';
import { startTestProxy as startPop3 } from '../pop3-proxy/support/listener.ts';
import { TestClient } from '../smtp-in/support/client.ts';
import { testGateway } from '../smtp-in/support/gateway.ts';
import { certificateFor } from '../support/certificate.ts';
import { startHaproxy } from '../support/services/haproxy.ts';
import { type Postfix, startPostfix } from '../support/services/postfix.ts';

/**
 * client ── HAProxy ── gateway ── Dovecot or Postfix, all of them real: what the server writes down is the address of the client. Each client has an
 * address of its own in 127.0.0.0/8.
 */

const USER = { login: 'bob@example.org', password: 'secret' };
const HEADERS = ['send-proxy', 'send-proxy-v2'] as const;
const WAYS = ['tellClientAddress', 'v1', 'v2'] as const;
const CASES = HEADERS.flatMap((header) => WAYS.map((way) => [header, way] as const));
const material = certificateFor('localhost');
let dovecot: Dovecot;
let proxied: { imap: number; pop3: number };
let authPort: number;
let hosts = 10;

beforeAll(async () => {
  proxied = { imap: await freePort(), pop3: await freePort() };
  authPort = await freePort();
  const listener = (protocol: 'imap' | 'pop3') => `
service ${protocol}-login {
  inet_listener proxied {
    port = ${proxied[protocol]}
    haproxy = yes
  }
}`;
  dovecot = await startDovecot({
    users: [USER],
    further: `
login_trusted_networks = 127.0.0.1
haproxy_trusted_networks = 127.0.0.1
${listener('imap')}
${listener('pop3')}
service auth {
  inet_listener sasl {
    port = ${authPort}
  }
}
`,
  });
});

afterAll(async () => {
  material.remove();
  await dovecot?.stop();
});

/** How the gateway tells Dovecot. */
function upstream(protocol: 'imap' | 'pop3', way: (typeof WAYS)[number]): MailServerOptions {
  const port = protocol === 'imap' ? dovecot.imapPort : dovecot.pop3Port;
  return {
    ...{ host: '127.0.0.1', tls: 'none' },
    ...(way === 'tellClientAddress'
      ? { port, tellClientAddress: true }
      : { port: proxied[protocol], proxyProtocol: way }),
  };
}

async function called(port: number): Promise<{ socket: Socket; address: string }> {
  const address = `127.0.3.${hosts++}`;
  const socket = connect({ port, host: '127.0.0.1', localAddress: address });
  await once(socket, 'connect');
  return { socket, address };
}

async function seen(protocol: 'imap' | 'pop3', address: string): Promise<void> {
  const line = `${protocol}-login: Info: Login: user=<${USER.login}>, method=PLAIN, rip=${address},`;
  await expect.poll(() => dovecot.logText()).toContain(line);
}

const behind = { proxyProtocolFrom: ['127.0.0.1'] };

test.each(CASES)('IMAP: HAProxy tells it by %s, the gateway by %s', async (header, way) => {
  const proxy = await startImap(0, { ...behind, upstream: upstream('imap', way) });
  const haproxy = await startHaproxy([{ to: proxy.port, header }]);
  const { socket, address } = await called(haproxy.ports[0] ?? 0);
  const client = new ImapConversation(socket);
  await client.until(/^\* OK [^\r\n]*\r\n/);
  expect(await client.command(`LOGIN ${USER.login} ${USER.password}`)).toMatch(/ OK /);
  expect(await client.command('LOGOUT')).toMatch(/ OK /);
  await seen('imap', address);
  client.close();
  await haproxy.stop();
  await proxy.close();
  expect(proxy.events.filter(({ event }) => event === 'listener.proxy-refused')).toEqual([]);
});

test.each(CASES)('POP3: HAProxy tells it by %s, the gateway by %s', async (header, way) => {
  const proxy = await startPop3(0, { ...behind, upstream: upstream('pop3', way) });
  const haproxy = await startHaproxy([{ to: proxy.port, header }]);
  const { socket, address } = await called(haproxy.ports[0] ?? 0);
  const client = new Conversation(socket);
  await client.line();
  await client.ask(`USER ${USER.login}`);
  expect(await client.ask(`PASS ${USER.password}`)).toMatch(/^\+OK/);
  expect(await client.ask('QUIT')).toMatch(/^\+OK/);
  await seen('pop3', address);
  client.close();
  await haproxy.stop();
  await proxy.close();
  expect(proxy.events.filter(({ event }) => event === 'listener.proxy-refused')).toEqual([]);
});

test('SMTP: HAProxy tells it by either header, the gateway a real Postfix by XCLIENT or a header of its own', async () => {
  if (process.getuid?.() !== 0) {
    await expect(startPostfix(authPort)).rejects.toThrow('only as root');
    return;
  }
  const postfix = await startPostfix(authPort);
  try {
    for (const [header, way] of CASES) await submitted(postfix, header, way);
  } finally {
    await postfix.stop();
  }
});

async function submitted(
  postfix: Postfix,
  header: (typeof HEADERS)[number],
  way: (typeof WAYS)[number],
): Promise<void> {
  const server =
    way === 'tellClientAddress'
      ? { port: postfix.port, tellClientAddress: true }
      : { port: postfix.proxiedPort, proxyProtocol: way };
  const gateway = await testGateway(
    {},
    { ...behind, allowPlainAuth: true, upstream: { host: '127.0.0.1', tls: 'none', ...server } },
  );
  const haproxy = await startHaproxy([{ to: gateway.port, header }]);
  const { socket, address } = await called(haproxy.ports[0] ?? 0);
  const client = new TestClient(socket);
  await client.reply();
  await client.ask('EHLO client.test');
  const plain = Buffer.from(`\0${USER.login}\0${USER.password}`).toString('base64');
  expect(await client.ask(`AUTH PLAIN ${plain}`)).toMatch(/^235/);
  await client.ask(`MAIL FROM:<${USER.login}>`);
  await client.ask('RCPT TO:<x@example.net>');
  expect(await client.ask('DATA')).toMatch(/^354/);
  client.send('Subject: x\r\n\r\nhi\r\n.\r\n');
  expect(await client.reply()).toMatch(/^250/);
  expect(await client.ask('QUIT')).toMatch(/^221/);
  const line = new RegExp(`client=\\w+\\[${address}\\], sasl_method=PLAIN, sasl_username=${USER.login}`);
  await expect.poll(() => postfix.logText()).toMatch(line);
  await haproxy.stop();
  await gateway.close();
}

test.each(HEADERS)(
  'TLS passes through HAProxy behind %s: it is between client and gateway',
  async (header) => {
    const { cert, key } = material;
    const proxy = await startImap(0, {
      ...{ ...behind, upstream: upstream('imap', 'v2'), tls: 'implicit' },
      secureContext: createSecureContext({ cert, key }),
    });
    const haproxy = await startHaproxy([{ to: proxy.port, header }]);
    const { socket, address } = await called(haproxy.ports[0] ?? 0);
    const secure = connectTls({ socket, servername: 'localhost', ca: cert });
    await once(secure, 'secureConnect');
    const client = new ImapConversation(secure);
    await client.until(/^\* OK [^\r\n]*\r\n/);
    expect(await client.command(`LOGIN ${USER.login} ${USER.password}`)).toMatch(/ OK /);
    expect(await client.command('LOGOUT')).toMatch(/ OK /);
    await seen('imap', address);
    client.close();
    await haproxy.stop();
    await proxy.close();
  },
);

test('one address behind HAProxy has its own number of connections', async () => {
  const proxy = await startImap(0, {
    ...{ ...behind, upstream: upstream('imap', 'v2'), maxConnectionsPerAddress: 1 },
  });
  const haproxy = await startHaproxy([{ to: proxy.port, header: 'send-proxy-v2' }]);
  const port = haproxy.ports[0] ?? 0;
  const greeted = async (localAddress: string): Promise<ImapConversation> => {
    const client = new ImapConversation(connect({ port, host: '127.0.0.1', localAddress }));
    await client.until(/^\* (?:OK|BYE) /);
    return client;
  };
  const [first, second, other] = [
    await greeted('127.0.4.1'),
    await greeted('127.0.4.1'),
    await greeted('127.0.4.2'),
  ];
  await second.rest();
  expect([first.ended, second.ended, other.ended]).toEqual([false, true, false]);
  for (const client of [first, other]) client.close();
  await haproxy.stop();
  await proxy.close();
});
