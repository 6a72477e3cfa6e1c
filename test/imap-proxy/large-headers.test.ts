import { afterEach, beforeEach, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { type ImapConversation, literal } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

/**
 * Headers that are larger than one is read: a listing asks for Content-Type alone and sees nothing of that, so nothing else may come
 * to another answer.
 */

const ENTITY = 'Content-Type: text/plain\r\n\r\nplain words\r\n';

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

function padded(octets: number): string[] {
  return Array.from({ length: Math.ceil(octets / 1_000) }, (_, at) => `X-${at}: ${'x'.repeat(1_000)}`);
}

/** The answer to a FETCH of one item, for which the server has these octets. */
async function fetched(item: string, octets: Buffer | string): Promise<string> {
  client.send(`f UID FETCH 9 (BODY.PEEK${item})\r\n`);
  await server.until(/f UID FETCH 9 [^\r\n]*\r\n/);
  server.send(`* 3 FETCH (UID 9 BODY${item} ${literal(octets)})\r\nf OK\r\n`);
  return await client.until(/f (?:OK|NO|BAD)[^\r\n]*\r\n$/);
}

test('with thousands of fields an encrypted message is opened', async () => {
  const fields = Array.from({ length: 5_000 }, (_, at) => `X-${at}: y`);
  const message = toyEncrypted(fields, ENTITY);
  const said = await fetched('[]', message);
  expect(said).toContain(`BODY[] {${message.length}}`);
  expect(said).toContain('plain words');
  expect(said).toContain('X-4999: y\r\n');
});

test('attack: a Content-Type behind half a megabyte of header is that of the message', async () => {
  const message = toyEncrypted(padded(512 * 1024), ENTITY);
  const said = await fetched('[]', message);
  expect(said).toMatch(/^f NO \[LIMIT\]/);
  const end = message.indexOf('\r\n\r\n') + 4;
  client.send('h UID FETCH 9 (BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])\r\n');
  await server.until(/h UID FETCH[^\r\n]*\r\n/);
  const type = 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n';
  server.send(`* 3 FETCH (UID 9 BODY[HEADER.FIELDS (CONTENT-TYPE)] ${literal(type)})\r\nh OK\r\n`);
  expect(await client.until(/h OK[^\r\n]*\r\n$/)).toContain('Content-Type: multipart/mixed');
  expect(end).toBeGreaterThan(limits.mail.headerOctets);
});

test('attack: the same where the whole header is asked for', async () => {
  const message = toyEncrypted(padded(512 * 1024), ENTITY);
  const header = message.subarray(0, message.indexOf('\r\n\r\n') + 4);
  client.send('f UID FETCH 9 (BODY.PEEK[HEADER])\r\n');
  await server.until(/f UID FETCH 9 [^\r\n]*\r\n/);
  server.send(`* 3 FETCH (UID 9 BODY[HEADER] ${literal(header)})\r\nf OK\r\n`);
  const own = /^(\S+) UID FETCH 9/.exec(await server.until(/\S+ UID FETCH 9 \(UID BODY.PEEK\[\]\)\r\n/))?.[1];
  server.send(`* 3 FETCH (UID 9 BODY[] ${literal(message)})\r\n${own} OK\r\n`);
  expect(await client.until(/f (?:OK|NO)[^\r\n]*\r\n$/)).toMatch(/^f NO \[LIMIT\]/);
});

test('attack: of two Content-Types the second is seen wherever it is', async () => {
  const two = ['Content-Type: text/plain', ...padded(512 * 1024)];
  const message = toyEncrypted(two, ENTITY);
  expect(await fetched('[]', message)).toContain(message.toString('latin1'));
});

test('mail that is not S/MIME is passed on with its header, and in pieces', async () => {
  const plain = `${padded(1_500_000).join('\r\n')}\r\nContent-Type: text/plain\r\n\r\nHello\r\n`;
  expect(await fetched('[]', plain)).toContain(`BODY[] ${literal(plain)})`);
});

test.each(['[]', '[HEADER]'])(
  'what a message is is not guessed from a part of its header: %s',
  async (item) => {
    const header = `${padded(limits.mail.classifiedOctets + 1_000).join('\r\n')}\r\n`;
    expect(await fetched(item, header)).toMatch(/^f NO \[LIMIT\]/);
    client.send('n NOOP\r\n');
    await server.until(/n NOOP\r\n/);
    server.send('n OK\r\n');
    expect(await client.until(/n OK\r\n/)).toBe('n OK\r\n');
  },
);
