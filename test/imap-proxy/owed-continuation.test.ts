import { afterEach, beforeEach, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { FakeTimers } from './support/fake-timers.ts';
import { FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import type { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyAtRest, toyMailboxes } from './support/toy-at-rest.ts';

/** A mail server that owes a continuation request. Time passes when the test says so. */

let timers: FakeTimers;
let upstream: FakeUpstream;
let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;

beforeEach(async () => {
  timers = new FakeTimers();
  upstream = await FakeUpstream.start();
  const rules = [
    { mailbox: ['Safe'], specialUse: null, login: null, store: 'at-rest', subject: 'keep' },
  ] as const;
  const storing = { rules, story: toyAtRest(), mailboxes: toyMailboxes() };
  proxy = await startTestProxy(upstream.port, { timers, storing });
  ({ client, server } = await loggedIn(upstream, proxy.port, 'IMAP4rev1 SASL-IR AUTH=PLAIN IDLE'));
});

afterEach(async () => {
  client.close();
  await proxy.close();
  await upstream.close();
});

test.each([
  ['for a literal', 'a APPEND INBOX {5}\r\n'],
  ['for IDLE', 'a IDLE\r\n'],
])('%s: a client that goes away meanwhile ends the session', async (_what, said) => {
  client.send(said);
  await server.until(/a [^\r\n]*\r\n/);
  client.close();
  await server.rest();
});

test('a client that has gone while it was not read holds the session for only so long', async () => {
  // More than is read ahead: whether the connection still stands is not looked at then.
  client.send(`a APPEND INBOX {500000+}\r\n${'x'.repeat(500_000)}`);
  await server.until(/a APPEND INBOX \{500000\}\r\n/);
  client.close();
  await timers.pass(limits.imap.continuationMs);
  await server.rest();
});

test('nor does one that has gone behind a message that was encrypted for it', async () => {
  const message = 'Subject: x\r\n\r\nwords\r\n';
  client.send(`a APPEND Safe {${message.length}+}\r\n${message}\r\nb APPEND Safe {500000+}\r\n`);
  client.send('x'.repeat(500_000));
  await server.until(/a APPEND Safe \{[0-9]+\}\r\n/);
  client.close();
  await timers.pass(limits.imap.continuationMs);
  await server.rest();
});

test('the client is told why', async () => {
  client.send('a IDLE\r\n');
  await server.until(/a IDLE\r\n/);
  await timers.pass(limits.imap.continuationMs);
  expect(await client.rest()).toMatch(/^\* BYE [^\r\n]*\r\n$/);
});

test('one that has come is not waited for', async () => {
  client.send('a IDLE\r\n');
  await server.until(/a IDLE\r\n/);
  server.send('+ go\r\n');
  await client.until(/\+ Go on\r\n/);
  expect(timers.pending).not.toContain(limits.imap.continuationMs);
});
