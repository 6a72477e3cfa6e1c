import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createSecureContext } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy } from './support/listener.ts';

let folder: string;
let cert: string;
let key: string;
let dovecot: Dovecot;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-tls-'));
  const files = ['-keyout', join(folder, 'k.pem'), '-out', join(folder, 'c.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  execFileSync('openssl', ['req', '-x509', '-nodes', '-days', '2', ...curve, ...subject, ...files], {
    stdio: 'ignore',
  });
  cert = readFileSync(join(folder, 'c.pem'), 'utf8');
  key = readFileSync(join(folder, 'k.pem'), 'utf8');
  dovecot = await startDovecot({ users: [{ login: 'bob@example.org', password: 'pw' }], tls: { cert, key } });
});

afterAll(async () => {
  await dovecot?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test.each<['implicit' | 'starttls', string | undefined]>([
  ['implicit', 'localhost'],
  ['implicit', undefined],
  ['starttls', 'localhost'],
])('TLS from the first octet to the gateway, %s to Dovecot as %s', async (tls, servername) => {
  const port = (tls === 'implicit' ? dovecot.imapsPort : dovecot.imapPort) ?? 0;
  const proxy = await startTestProxy(0, {
    tls: 'implicit',
    secureContext: createSecureContext({ cert, key }),
    allowPlainAuth: false,
    upstream: { host: '127.0.0.1', port, tls, ca: cert, ...(servername === undefined ? {} : { servername }) },
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
      ca: cert,
      servername: 'mail.example.org',
    },
  });
  const client = await ImapConversation.open(proxy.port);
  expect(await client.rest()).toBe('');
  expect(proxy.events.some((each) => each.event === 'imap.protocol-error' && each.side === 'upstream')).toBe(
    true,
  );
  await proxy.close();
});
