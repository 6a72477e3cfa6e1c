import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { type ImapConversation, literal } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

/** Mail servers that say the UID of a message behind its octets (RFC 9051 §6.4.9 only wants it said). */

const TYPE = 'BODY[HEADER.FIELDS (CONTENT-TYPE)]';
const LARGE = 'x'.repeat(3 * 1024 * 1024);
const ENCRYPTED = toyEncrypted(['Subject: s'], 'Content-Type: text/plain\r\n\r\nplain words\r\n');

let upstream: FakeUpstream;
let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;

beforeEach(async () => {
  upstream = await FakeUpstream.start();
  proxy = await startTestProxy(upstream.port);
  ({ client, server } = await loggedIn(upstream, proxy.port));
});

afterEach(async () => {
  client.close();
  await proxy.close();
  await upstream.close();
});

async function asked(pattern: RegExp): Promise<string> {
  const said = await server.until(pattern);
  return /(S[^ \r\n]+) UID FETCH [^\r\n]*\r\n$/.exec(said)?.[1] ?? '';
}

test('a large part of a message that is shown as stored streams, first and again', async () => {
  for (const round of [1, 2]) {
    client.send(`f${round} UID FETCH 9 BODY.PEEK[2]\r\n`);
    if (round === 1) {
      const tag = await asked(/S[^\r\n]*CONTENT-TYPE[^\r\n]*\r\n/);
      server.send(
        `* 3 FETCH (${TYPE} ${literal('Content-Type: multipart/mixed\r\n\r\n')} UID 9)\r\n${tag} OK\r\n`,
      );
    }
    await server.until(/BODY.PEEK\[2\]\r\n/);
    server.send(`* 3 FETCH (BODY[2] ${literal(LARGE)} UID 9)\r\nf${round} OK\r\n`);
    const said = await client.until(new RegExp(`f${round} [^\\r\\n]*\\r\\n$`));
    expect(said.slice(-30)).toBe(`${'x'.repeat(30)} UID 9)\r\nf${round} OK\r\n`.slice(-30));
    expect(said).toContain(LARGE);
  }
});

test('a part of a message that is shown opened comes from its view', async () => {
  client.send('f UID FETCH 9 BODY.PEEK[1]\r\n');
  const type = 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n';
  const tag = await asked(/S[^\r\n]*CONTENT-TYPE[^\r\n]*\r\n/);
  server.send(`* 3 FETCH (${TYPE} ${literal(type)} UID 9)\r\n${tag} OK\r\n`);
  await server.until(/f UID FETCH 9 BODY.PEEK\[1\]\r\n/);
  server.send(`* 3 FETCH (BODY[1] ${literal(LARGE)} UID 9)\r\nf OK\r\n`);
  const again = await asked(/S[^ ]* UID FETCH 9 \(UID BODY.PEEK\[\]\)\r\n/);
  server.send(`* 3 FETCH (BODY[] ${literal(ENCRYPTED)} UID 9)\r\n${again} OK\r\n`);
  expect(await client.until(/f OK[^\r\n]*\r\n/)).toBe(
    '* 3 FETCH (BODY[1] {13}\r\nplain words\r\n UID 9)\r\nf OK\r\n',
  );
});
