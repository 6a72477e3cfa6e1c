import { once } from 'node:events';
import { connect, createSecureContext } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { certificateFor } from '../support/certificate.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy } from './support/listener.ts';

const material = certificateFor('localhost', '127.0.0.1');
const { cert, key, file: caFile } = material;
let dovecot: Dovecot;

beforeAll(async () => {
  dovecot = await startDovecot({ users: [{ login: 'bob@example.org', password: 'pw' }], tls: { cert, key } });
});

afterAll(async () => {
  await dovecot?.stop();
  material.remove();
});

test.each<['implicit' | 'starttls', string | undefined]>([
  ['implicit', 'localhost'],
  ['implicit', undefined],
  ['starttls', 'localhost'],
])('TLS from the first octet to the gateway, %s to Dovecot as %s', async (tls, serverName) => {
  const port = (tls === 'implicit' ? dovecot.imapsPort : dovecot.imapPort) ?? 0;
  const proxy = await startTestProxy(0, {
    tls: 'implicit',
    secureContext: createSecureContext({ cert, key }),
    allowPlainAuth: false,
    upstream: { host: '127.0.0.1', port, tls, caFile, ...(serverName === undefined ? {} : { serverName }) },
  });
  const socket = connect({ host: '127.0.0.1', port: proxy.port, servername: 'localhost', ca: cert });
  await once(socket, 'secureConnect');
  const client = new ImapConversation(socket);
  await client.until(/^\* OK \[CAPABILITY IMAP4rev1 SASL-IR LITERAL- ID AUTH=PLAIN AUTH=LOGIN\][^\r\n]*\r\n/);
  expect(await client.command('LOGIN bob@example.org pw')).toMatch(/ OK /);
  expect(await client.command('SELECT INBOX')).toMatch(/\[UIDVALIDITY \d+\]/);
  expect(await client.command('LOGOUT')).toMatch(/^\* BYE [^\r\n]*\r\nc3 OK/);
  expect(await client.rest()).toBe('');
  await proxy.close();
});

test('a server whose certificate has another name is not used', async () => {
  const proxy = await startTestProxy(0, {
    upstream: {
      host: '127.0.0.1',
      port: dovecot.imapsPort ?? 0,
      tls: 'implicit',
      caFile,
      serverName: 'mail.example.org',
    },
  });
  const client = await ImapConversation.open(proxy.port);
  expect(await client.rest()).toBe('');
  expect(proxy.events.some((each) => each.event === 'imap.protocol-error' && each.side === 'upstream')).toBe(
    true,
  );
  await proxy.close();
});
