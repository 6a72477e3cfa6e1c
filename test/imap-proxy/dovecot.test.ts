import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { ImapConversation, literalAfter } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

const FIELDS = [
  'From: alice@example.org',
  'To: bob@example.org',
  'Subject: sealed',
  'Message-ID: <1@example.org>',
];
const INNER = 'Content-Type: text/plain; charset=utf-8\r\n\r\nThe secret is 42.\r\n';
const PLAIN = Buffer.from(
  `${FIELDS.join('\r\n')}\r\nContent-Type: text/plain\r\n\r\nx{12}\r\n* 1 EXPUNGE\r\nt1 OK\r\n`,
);

let dovecot: Dovecot;
let proxy: TestProxy;
const encrypted = toyEncrypted(FIELDS, INNER);

async function append(client: ImapConversation, octets: Buffer): Promise<void> {
  client.send(`a APPEND INBOX {${octets.length}}\r\n`);
  await client.until(/\+[^\r\n]*\r\n/);
  client.send(octets);
  client.send('\r\n');
  await client.until(/a OK[^\r\n]*\r\n/);
}

beforeAll(async () => {
  dovecot = await startDovecot({ users: [{ login: 'bob@example.org', password: 'secret' }] });
  proxy = await startTestProxy(dovecot.imapPort);
  const direct = await ImapConversation.login(dovecot.imapPort, 'bob@example.org', 'secret');
  await append(direct, PLAIN);
  await append(direct, encrypted);
  direct.close();
});

afterAll(async () => {
  await proxy?.close();
  await dovecot?.stop();
});

test('a whole encrypted message is served as a view of the same size', async () => {
  const client = await ImapConversation.login(proxy.port, 'bob@example.org', 'secret');
  await client.command('SELECT INBOX');
  const response = await client.command('UID FETCH 1:* (UID RFC822.SIZE BODY.PEEK[])');
  expect(response).toContain('The secret is 42.');
  client.close();
});
