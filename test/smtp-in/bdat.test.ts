import { afterEach, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { reply } from '../../src/smtp/reply.ts';
import type { TestClient } from './support/client.ts';
import { loggedIn, named, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const ENVELOPE = 'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n';
const chunk = (text: string, last = false): string =>
  `BDAT ${Buffer.byteLength(text)}${last ? ' LAST' : ''}\r\n${text}`;

async function open(options: Parameters<typeof testGateway>[1] = {}): Promise<TestClient> {
  gateway = await testGateway({}, options);
  return loggedIn(gateway.port);
}

async function replies(client: TestClient, count: number): Promise<(string | null)[]> {
  const all: (string | null)[] = [];
  for (let i = 0; i < count; i++) all.push(await client.reply());
  return all;
}

const arrived = (): string[] =>
  gateway?.upstream.accepted.map(({ octets }) => octets.toString('latin1')) ?? [];
const heard = (): string[] => gateway?.upstream.commands.slice(2) ?? [];

test('RFC 3030 §4.2: a message in chunks is one message, which leaves by DATA', async () => {
  const client = await open();
  client.send(`${ENVELOPE}${chunk('Subject: x\r\n\r\n.a\r')}${chunk('\n')}${chunk('.\r\nb')}BDAT 0 LAST\r\n`);
  const said = await replies(client, 6);
  expect(said.slice(2, 5)).toEqual([
    '250 2.0.0 17 octets received',
    '250 2.0.0 1 octets received',
    '250 2.0.0 4 octets received',
  ]);
  expect(said[5]).toMatch(QUEUED);
  // A last line without CRLF gets one: it could not leave otherwise.
  expect(arrived()).toEqual(['Subject: x\r\n\r\n.a\r\n.\r\nb\r\n']);
  expect(heard()).toEqual(['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>', 'DATA']);
  // The next mail of the session, in one chunk and in one segment.
  client.send(`${ENVELOPE}${chunk('one\r\n', true)}NOOP\r\n`);
  expect((await replies(client, 4))[2]).toMatch(QUEUED);
  expect(arrived()[1]).toBe('one\r\n');
  client.end();
});

test('octets of a chunk are never commands, and none beyond it is of the message', async () => {
  const client = await open();
  const inner = 'QUIT\r\nMAIL FROM:<evil@example.org>\r\n.\r\nRSET\r\n';
  await client.trickle(
    `${ENVELOPE}${chunk(inner)}${chunk('BDAT 3 LAST\r\n')}${chunk('x\r\n', true)}NOOP\r\n`,
  );
  const said = await replies(client, 6);
  expect(said[4]).toMatch(QUEUED);
  expect(said[5]).toBe('250 2.0.0 upstream noop');
  expect(arrived()).toEqual([`${inner}BDAT 3 LAST\r\nx\r\n`]);
  client.end();
});

test('chunks of one octet', async () => {
  const client = await open();
  const text = 'Subject: y\r\n\r\n..\r\n.\r\n';
  client.send(`${ENVELOPE}${Array.from(text, (octet) => chunk(octet)).join('')}BDAT 0 LAST\r\n`);
  const said = await replies(client, 3 + text.length);
  expect(said.at(-1)).toMatch(QUEUED);
  expect(arrived()).toEqual([text]);
  client.end();
});

test('a message of nothing', async () => {
  const client = await open();
  client.send(`${ENVELOPE}BDAT 0 LAST\r\n`);
  expect((await replies(client, 3))[2]).toMatch(QUEUED);
  expect(arrived()).toEqual(['']);
  client.end();
});

test.each([
  ['a\nb', 'a bare LF'],
  ['a\rb', 'a bare CR'],
  ['\n.\n', 'LF . LF'],
  ['\n.\r\n', 'LF . CRLF'],
  ['\r.\r', 'CR . CR'],
  ['\r\n.\r', 'CRLF . CR, at the end of the last chunk'],
  ['\r\n\0.\r\n', 'NUL before the dot'],
])('%j is refused as in DATA, cut anywhere, and the upstream hears nothing of it', async (text) => {
  const whole = `x${text}`;
  for (let cut = 0; cut < whole.length; cut++) {
    const client = await open();
    client.send(`${ENVELOPE}${chunk(whole.slice(0, cut))}${chunk(whole.slice(cut), true)}NOOP\r\n`);
    const said = await replies(client, 5);
    expect(said.slice(2, 4).filter((each) => each?.startsWith('554 5.6.0'))).not.toEqual([]);
    expect(said[3]).toMatch(/^554 5\.6\.0/);
    expect(said[4]).toBe('250 2.0.0 upstream noop');
    expect(heard()).toEqual(['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>', 'NOOP']);
    expect(gateway?.story.submissions).toEqual([]);
    client.end();
    await gateway?.close();
  }
});

test('the CR of a pair may end one chunk and its LF begin the next', async () => {
  const client = await open();
  client.send(`${ENVELOPE}${chunk('a\r')}${chunk('\nb\r')}${chunk('\n', true)}`);
  expect((await replies(client, 5))[4]).toMatch(QUEUED);
  expect(arrived()).toEqual(['a\r\nb\r\n']);
  client.end();
});

test.each([
  ['no MAIL', '', '503 5.5.1 Send MAIL and RCPT first'],
  ['no RCPT', 'MAIL FROM:<a@example.org>\r\n', '554 5.5.1 No recipient has been accepted'],
])('%s: the octets are swallowed, and no chunk is taken', async (_, before, refusal) => {
  const client = await open();
  client.send(`${before}${chunk('QUIT\r\n')}${chunk('RSET\r\n', true)}NOOP\r\n`);
  const said = await replies(client, (before === '' ? 0 : 1) + 3);
  expect(said.slice(-3)).toEqual([refusal, refusal, '250 2.0.0 upstream noop']);
  client.end();
});

test('without a login the octets are swallowed as well', async () => {
  const running = await testGateway();
  gateway = running;
  const { TestClient: Client } = await import('./support/client.ts');
  const client = await Client.open(running.port);
  client.send(`EHLO x\r\n${ENVELOPE}${chunk('AUTH PLAIN x\r\n')}${chunk('x', true)}QUIT\r\n`);
  const said = await replies(client, 6);
  expect(said[0]).toContain('CHUNKING');
  expect(said.slice(1)).toEqual([
    '530 5.7.0 Authentication required',
    '530 5.7.0 Authentication required',
    '503 5.5.1 Send MAIL and RCPT first',
    '503 5.5.1 Send MAIL and RCPT first',
    '221 2.0.0 Goodbye',
  ]);
  expect(running.upstream.commands.filter((line) => !line.startsWith('EHLO') && line !== 'QUIT')).toEqual([]);
});

test('DATA, RCPT and MAIL have no place between chunks; RSET throws away what has come', async () => {
  const client = await open();
  client.send(`${ENVELOPE}${chunk('first\r\n')}`);
  await replies(client, 3);
  expect(await client.ask('DATA')).toBe('503 5.5.1 Send BDAT or RSET');
  expect(await client.ask('RCPT TO:<c@example.net>')).toBe('503 5.5.1 Send BDAT or RSET');
  expect(await client.ask('MAIL FROM:<c@example.org>')).toMatch(/^503/);
  expect(await client.ask('RSET')).toMatch(/^250/);
  client.send(`${ENVELOPE}${chunk('second\r\n', true)}`);
  expect((await replies(client, 3))[2]).toMatch(QUEUED);
  expect(arrived()).toEqual(['second\r\n']);
  // After BDAT, DATA in a transaction of its own.
  client.send(`${ENVELOPE}DATA\r\n`);
  expect((await replies(client, 3))[2]).toMatch(/^354/);
  client.send('third\r\n.\r\nBDAT 3 LAST\r\nx\r\n');
  expect(await client.reply()).toMatch(QUEUED);
  expect(await client.reply()).toBe('503 5.5.1 Send MAIL and RCPT first');
  client.end();
});

test('too large: found out by what is announced, and refused up to the last chunk, however many are pipelined', async () => {
  const client = await open({ maxMessageOctets: 100 });
  const chunks = Array.from({ length: 40 }, () => chunk('QUIT\r\n'));
  client.send(`${ENVELOPE}${chunk('x'.repeat(99))}${chunks.join('')}${chunk('x', true)}NOOP\r\n`);
  const said = await replies(client, 2 + 42 + 1);
  const tooLarge = '552 5.3.4 The message is too large; at most 100 octets are accepted';
  expect(said[2]).toBe('250 2.0.0 99 octets received');
  // Not errors each: the client could not know.
  expect(said.slice(3, 44)).toEqual(Array.from({ length: 41 }, () => tooLarge));
  expect(said[44]).toBe('250 2.0.0 upstream noop');
  client.send(`${ENVELOPE}${chunk('next\r\n', true)}`);
  expect((await replies(client, 3))[2]).toMatch(QUEUED);
  client.end();
});

test('far too many announced octets are not waited for: the session ends', async () => {
  const client = await open({ maxMessageOctets: 100 });
  client.send(`${ENVELOPE}BDAT ${200 + limits.smtp.readAheadOctets + 1} LAST\r\nQUIT\r\n`);
  expect((await client.toEnd()).at(-1)).toBe(
    '552 5.3.4 The message is far too large; closing the connection',
  );
});

test('a refusal of the story ends the transaction', async () => {
  const client = await open();
  if (gateway !== null) {
    gateway.story.submit = async () => ({ kind: 'refused', reply: reply(550, '5.7.1', 'no') });
  }
  client.send(`${ENVELOPE}${chunk('x\r\n', true)}${ENVELOPE}`);
  const said = await replies(client, 5);
  expect(said[2]).toMatch(named('550 5.7.1 no'));
  expect(said[3]).toMatch(/^250/);
  client.end();
});

test('an upstream that does not know CHUNKING gets the mail all the same', async () => {
  gateway = await testGateway({ keywords: ['SIZE', 'AUTH PLAIN'] });
  const client = await loggedIn(gateway.port);
  expect(await client.ask('EHLO x')).toContain('250-CHUNKING');
  client.send(`${ENVELOPE}${chunk('x\r\n', true)}`);
  expect((await replies(client, 3))[2]).toMatch(QUEUED);
  client.end();
});

test('BODY=BINARYMIME is not offered, and refused', async () => {
  const client = await open();
  expect(await client.ask('EHLO x')).not.toContain('BINARYMIME');
  expect(await client.ask('MAIL FROM:<a@example.org> BODY=BINARYMIME')).toMatch(/^501 5\.5\.4/);
  client.end();
});
