import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import type { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';

/** A client that has said the first half of a command, and all of which the gateway has dealt with. */

const HALVES = [
  'SEARCH SUBJECT {9+}\r\n',
  'SEARCH SUBJECT {9+}\r\nin pi',
  'COPY 1 {6+}\r\nCop',
  'ID ("name" {5+}\r\n',
  'APPEND INBOX {5+}\r\nab',
  'FETCH 1 BODY.PEEK[HEADER.FIELDS ({7+}\r\nSub',
  'STATUS {5+}\r\n',
  'SELECT {5+}\r\nIN',
  'LOGO',
];

let upstream: FakeUpstream;
let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;
let other: { client: ImapConversation; server: ImapConversation };

beforeEach(async () => {
  upstream = await FakeUpstream.start();
  proxy = await startTestProxy(upstream.port);
  ({ client, server } = await loggedIn(upstream, proxy.port));
  other = await loggedIn(upstream, proxy.port);
});

afterEach(async () => {
  client.close();
  other.client.close();
  await proxy.close();
  await upstream.close();
});

/** What goes through another session has come after it. */
async function dealtWith(): Promise<void> {
  other.client.send('o NOOP\r\n');
  await other.server.until(/o NOOP\r\n/);
  other.server.send('o OK\r\n');
  await other.client.until(/o OK\r\n/);
}

describe.each(HALVES)('%j', (half) => {
  beforeEach(async () => {
    client.send(`a ${half}`);
    await dealtWith();
  });

  test('a client that goes away ends the session', async () => {
    client.close();
    await expect(server.rest()).resolves.toBeTypeOf('string');
  });

  test('a mail server that goes away ends the session', async () => {
    server.close();
    await expect(client.rest()).resolves.toBeTypeOf('string');
  });

  test('a gateway that stops ends the session', async () => {
    other.client.close();
    await proxy.close();
    expect(await client.rest()).not.toMatch(/^a OK/m);
    await server.rest();
  });
});
