import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from '../imap-proxy/support/listener.ts';

/** Apple Mail opens five connections for an account; a mail server counts those of one user from one address. */

const LIMIT = 5;
let dovecot: Dovecot;
let proxy: TestProxy;

beforeAll(async () => {
  dovecot = await startDovecot({
    users: [{ login: 'bob@example.org', password: 'pw' }],
    further: `
login_trusted_networks = 127.0.0.1
protocol imap {
  mail_max_userip_connections = ${LIMIT}
}
`,
  });
  const upstream = {
    host: '127.0.0.1',
    port: dovecot.imapPort,
    tls: 'none',
    tellClientAddress: true,
  } as const;
  proxy = await startTestProxy(0, { upstream });
});

afterAll(async () => {
  await proxy?.close();
  await dovecot?.stop();
});

async function loggedIn(localAddress: string): Promise<{ client: ImapConversation; answer: string }> {
  const socket = connect({ host: '127.0.0.1', port: proxy.port, localAddress });
  await once(socket, 'connect');
  const client = new ImapConversation(socket);
  await client.until(/^\* OK [^\r\n]*\r\n/);
  return { client, answer: await client.command('LOGIN bob@example.org pw') };
}

test('17: one connection of a client is one of the mail server’s, and those of two devices are not added up', async () => {
  const devices = ['127.0.0.2', '127.0.0.3'];
  const clients = await Promise.all(
    devices.flatMap((device) => Array.from({ length: LIMIT }, () => loggedIn(device))),
  );
  expect(clients.map(({ answer }) => / OK /.test(answer))).toEqual(clients.map(() => true));
  const selected = await Promise.all(clients.map(({ client }) => client.command('SELECT INBOX')));
  expect(selected.every((answer) => answer.includes('UIDVALIDITY'))).toBe(true);
  for (const { client } of clients) {
    client.send('i IDLE\r\n');
    await client.until(/\+ [^\r\n]*\r\n/);
  }
  // The one that is too many hears the mail server's own words.
  const { client: sixth, answer } = await loggedIn('127.0.0.2');
  expect(`${answer}${answer.includes(' OK ') ? await sixth.rest() : ''}`).toMatch(
    /Maximum number of connections from user\+IP exceeded/,
  );
  for (const { client } of clients) client.close();
});
