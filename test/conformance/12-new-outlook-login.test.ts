import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from '../imap-proxy/support/listener.ts';

/**
 * How the new Outlook logs in, from Microsoft's cloud: ID and LOGIN with `{n+}` literals, all of it sent ahead. It then uses whatever it
 * was offered of IMAP4rev2 and UIDONLY, and not well.
 */

let dovecot: Dovecot;
let proxy: TestProxy;

beforeAll(async () => {
  dovecot = await startDovecot({ users: [{ login: 'bob@example.org', password: 'pass word' }] });
  proxy = await startTestProxy(dovecot.imapPort);
});

afterAll(async () => {
  await proxy?.close();
  await dovecot?.stop();
});

const SCRIPT = [
  'A1 CAPABILITY\r\n',
  'A2 ID ("name" {21+}\r\n',
  'Microsoft Outlook new "version" {3+}\r\n1.0 "os" NIL)\r\n',
  'A3 LOGIN {15+}\r\nbob@example.org {9+}\r\npass word\r\n',
  'A4 CAPABILITY\r\nA5 NAMESPACE\r\nA6 LIST "" "%"\r\n',
].join('');

test.each([
  ['in one packet', [SCRIPT]],
  ['an octet at a time', [...SCRIPT]],
])('12: the login script of the new Outlook, %s', async (_how, packets) => {
  const client = await ImapConversation.open(proxy.port);
  for (const packet of packets) {
    await new Promise((resolve) => client.socket.write(packet, 'latin1', resolve));
  }
  const before = await client.until(/\r\nA2 OK[^\r\n]*\r\n/);
  expect(before).toMatch(
    /^\* CAPABILITY IMAP4rev1 [^\r\n]*\r\nA1 OK[^\r\n]*\r\n\* ID \("name" "Sealgate"\)\r\n/,
  );
  const after = await client.until(/\r\nA6 OK[^\r\n]*\r\n/);
  expect(after).toMatch(/^(?:\* CAPABILITY [^\r\n]*\r\n)?A3 OK /);
  for (const told of [before, after]) {
    expect(told).not.toMatch(/IMAP4rev2|UIDONLY|JMAPACCESS|NOTIFY/i);
  }
  expect(after).toMatch(/\* LIST \([^)]*\) "?."? INBOX\r\n/i);
  client.close();
});
