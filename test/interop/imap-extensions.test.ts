import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from '../imap-proxy/support/listener.ts';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';

/** What of Dovecot's extensions is offered, and that it means the view where a mail has one. */

let dovecot: Dovecot;
let proxy: TestProxy;
let client: ImapConversation;

beforeAll(async () => {
  dovecot = await startDovecot({ users: [{ login: 'bob@example.org', password: 'pw' }] });
  proxy = await startTestProxy(dovecot.imapPort);
  client = await ImapConversation.open(proxy.port);
});

afterAll(async () => {
  client?.close();
  await proxy?.close();
  await dovecot?.stop();
});

test('what Dovecot has and the view agrees with is offered; the rest is not', async () => {
  const told = await client.command('LOGIN bob@example.org pw');
  for (const name of [
    'IMAP4rev1',
    'BINARY',
    'PREVIEW',
    'ESEARCH',
    'QRESYNC',
    'COMPRESS=DEFLATE',
    'INPROGRESS',
  ]) {
    expect(told).toContain(` ${name}`);
  }
  expect(told).not.toMatch(/IMAP4rev2|URL-PARTIAL|CATENATE|NOTIFY|CONTEXT=|PREVIEW=|SNIPPET|LOGIN-REFERRALS/);
});

test('BINARY and PREVIEW show the text of an encrypted mail as they show that of any other', async () => {
  const text = (words: string): string =>
    `Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(words).toString('base64')}\r\n`;
  const mails = [
    toyEncrypted(['Subject: sealed'], text('Secret')),
    Buffer.from(`Subject: plain\r\n${text('Plainly')}`),
  ];
  for (const mail of mails) {
    await client.command(`APPEND INBOX ~{${mail.length}+}\r\n${mail.toString('latin1')}`);
  }
  await client.command('SELECT INBOX');
  const binary = await client.command('FETCH 1:2 BINARY.PEEK[1]');
  expect(binary).toContain('* 1 FETCH (BINARY[1] ~{6}\r\nSecret)\r\n');
  expect(binary).toContain('* 2 FETCH (BINARY[1] ~{7}\r\nPlainly)\r\n');
  const sizes = await client.command('FETCH 1:2 BINARY.SIZE[1]');
  expect(sizes).toContain('* 1 FETCH (BINARY.SIZE[1] 6)\r\n');
  expect(sizes).toContain('* 2 FETCH (BINARY.SIZE[1] 7)\r\n');
  expect(await client.command('FETCH 1 (PREVIEW (LAZY))')).toMatch(
    /PREVIEW (?:"Secret"|\{6\}\r\nSecret)\)\r\n/,
  );
});
