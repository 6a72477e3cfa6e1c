import { afterEach, expect, test } from 'vitest';
import { TestClient } from './support/client.ts';
import { KEYWORDS } from './support/fake-upstream.ts';
import { loggedIn, named, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

/** Plays `C:` and `S:` lines after a login; `S:` is the beginning of a reply. */
async function play(script: string): Promise<void> {
  gateway ??= await testGateway();
  const client = await loggedIn(gateway.port);
  for (const line of script.trim().split('\n')) {
    const [side, ...rest] = line.trim().split(': ');
    const text = rest.join(': ');
    if (side === 'C') client.send(`${text}\r\n`);
    else expect(await client.reply()).toContain(text);
  }
  client.end();
}

test('commands out of order', () =>
  play(`
    C: RCPT TO:<b@example.net>
    S: 503 5.5.1 Send MAIL first
    C: DATA
    S: 503 5.5.1 Send MAIL and RCPT first
    C: MAIL FROM:<a@example.org>
    S: 250
    C: MAIL FROM:<a@example.org>
    S: 503 5.5.1 A mail transaction is already open
    C: DATA
    S: 554 5.5.1 No recipient has been accepted
    C: RCPT TO:<b@example.net>
    S: 250
    C: DATA
    S: 354
    C: .
    S: 250 2.0.0 upstream queued
  `));

test('RSET ends the transaction on both sides; EHLO does too', async () => {
  await play(`
    C: RSET
    S: 250 2.0.0 Reset
    C: MAIL FROM:<a@example.org>
    S: 250
    C: RCPT TO:<b@example.net>
    S: 250
    C: RSET
    S: 250 2.0.0 upstream reset
    C: RCPT TO:<b@example.net>
    S: 503
    C: MAIL FROM:<a@example.org>
    S: 250
    C: EHLO again.test
    S: 250
    C: RCPT TO:<b@example.net>
    S: 503
    C: MAIL FROM:<c@example.org>
    S: 250
  `);
  expect(gateway?.upstream.commands.slice(2)).toEqual([
    'MAIL FROM:<a@example.org>',
    'RCPT TO:<b@example.net>',
    'RSET',
    'MAIL FROM:<a@example.org>',
    'RSET',
    'MAIL FROM:<c@example.org>',
  ]);
});

test('the small verbs', () =>
  play(`
    C: VRFY bob
    S: 252 2.1.5
    C: EXPN staff
    S: 502 5.5.1
    C: HELP
    S: 214 2.0.0
    C: NOOP
    S: 250 2.0.0 upstream noop
    C: XCLIENT ADDR=127.0.0.1
    S: 500 5.5.1
    C: QUIT
    S: 221 2.0.0
  `));

test('addresses in UTF-8 need SMTPUTF8, and go on as they are', async () => {
  await play(`
    C: MAIL FROM:<jürgen@example.org>
    S: 553 5.6.7
    C: MAIL FROM:<a@example.org>
    S: 250
    C: RCPT TO:<用户@例子.example>
    S: 553 5.6.7
    C: RSET
    S: 250
    C: MAIL FROM:<jürgen@example.org> SMTPUTF8
    S: 250
    C: RCPT TO:<用户@例子.example>
    S: 250
  `);
  const last = Buffer.from(gateway?.upstream.commands.at(-1) ?? '', 'latin1').toString('utf8');
  expect(last).toBe('RCPT TO:<用户@例子.example>');
  expect(gateway?.story.expected.at(-1)?.mailbox).toEqual({ localPart: '用户', domain: '例子.example' });
});

test('parameters of extensions that the upstream lacks are refused', async () => {
  gateway = await testGateway({ keywords: KEYWORDS.filter((line) => !/DSN|SIZE|8BIT/.test(line)) });
  await play(`
    C: MAIL FROM:<a@example.org> SIZE=1
    S: 555 5.5.4
    C: MAIL FROM:<a@example.org> BODY=8BITMIME
    S: 555 5.5.4
    C: MAIL FROM:<a@example.org> RET=FULL
    S: 555 5.5.4
    C: MAIL FROM:<a@example.org>
    S: 250
    C: RCPT TO:<b@example.net> NOTIFY=NEVER
    S: 555 5.5.4
  `);
  expect(gateway.upstream.commands.filter((line) => line.startsWith('MAIL'))).toEqual([
    'MAIL FROM:<a@example.org>',
  ]);
});

test('the null reverse-path and <Postmaster> are the upstream’s to judge', async () => {
  await play(`
    C: MAIL FROM:<>
    S: 250
    C: RCPT TO:<Postmaster>
    S: 250
  `);
  expect(gateway?.upstream.commands.slice(2)).toEqual(['MAIL FROM:<>', 'RCPT TO:<Postmaster>']);
});

test('a message that is declared too large is refused at MAIL, one that is too large at its end', async () => {
  gateway = await testGateway({}, { maxMessageOctets: 100 });
  const client = await loggedIn(gateway.port);
  expect(await client.ask('MAIL FROM:<a@example.org> SIZE=101')).toBe(
    '552 5.3.4 The message is too large; at most 100 octets are accepted',
  );
  client.send('MAIL FROM:<a@example.org> SIZE=1\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  client.send(`${'x'.repeat(99)}\r\n.\r\nNOOP\r\n`);
  expect(await client.reply()).toMatch(
    named('552 5.3.4 The message is too large; at most 100 octets are accepted'),
  );
  expect(await client.reply()).toMatch(/^250/);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  expect(await client.ask(`${'x'.repeat(98)}\r\n.`)).toMatch(/^250/);
  expect(gateway.upstream.accepted.length).toBe(1);
  client.end();
});

test('a message without end is not listened to for ever', async () => {
  gateway = await testGateway({}, { maxMessageOctets: 1_000 });
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  const block = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(50));
  for (let i = 0; i < 4; i++) client.send(block);
  expect(await client.reply()).toBe('552 5.3.4 The message is far too large; closing the connection');
  client.end();
  expect(gateway.story.submissions).toEqual([]);
});

test('too many errors end the session with 421', async () => {
  gateway = await testGateway();
  const client = await TestClient.open(gateway.port);
  client.send('WHAT\r\n'.repeat(30));
  const replies = await client.toEnd();
  expect(replies.length).toBe(21);
  expect(replies.slice(0, 20).every((line) => line.startsWith('500 5.5.1'))).toBe(true);
  expect(replies[20]).toBe('421 4.7.0 Too many errors; closing the connection');
});

test('recipients whom the upstream refuses are no errors of the session', async () => {
  gateway = await testGateway({ script: { RCPT: '550 5.1.1 nobody\r\n' } });
  const client = await loggedIn(gateway.port);
  await client.ask('MAIL FROM:<a@example.org>');
  for (let i = 0; i < 40; i++)
    expect(await client.ask(`RCPT TO:<r${i}@example.net>`)).toBe('550 5.1.1 nobody');
  client.end();
});

test('a line that is too long is refused once, and the session is still in step', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  client.send(
    `NOOP ${'x'.repeat(100_000)}\r\nNOOP\r\nMAIL FROM:<${'x'.repeat(3_000)}@example.org>\r\nNOOP\r\n`,
  );
  expect(await client.reply()).toBe('500 5.5.2 The command line is too long');
  expect(await client.reply()).toMatch(/^250/);
  expect(await client.reply()).toBe('500 5.5.2 The command line is too long');
  expect(await client.reply()).toMatch(/^250/);
  client.end();
});

test('a message of 5 MB with every octet value but CR and LF arrives as it was sent', async () => {
  gateway = await testGateway();
  const line = Buffer.concat([
    Buffer.from(Array.from({ length: 256 }, (_, i) => (i === 10 || i === 13 ? 46 : i))),
    Buffer.from('\r\n'),
  ]);
  const octets = Buffer.concat([...Array<Buffer>(20_000).fill(line)]);
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org> BODY=8BITMIME\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  client.send(Buffer.concat([octets, Buffer.from('.\r\n')]));
  expect(await client.reply()).toMatch(/^250/);
  expect(gateway.upstream.accepted[0]?.octets.equals(octets)).toBe(true);
  client.end();
});
