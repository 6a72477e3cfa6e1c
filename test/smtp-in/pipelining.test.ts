import { afterEach, expect, test } from 'vitest';
import { PLAIN, TestClient } from './support/client.ts';
import { KEYWORDS } from './support/fake-upstream.ts';
import { loggedIn, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

async function replies(client: TestClient, count: number): Promise<string[]> {
  const found: string[] = [];
  for (let i = 0; i < count; i++) found.push((await client.reply()) ?? 'closed');
  return found;
}

test('RFC 2920: MAIL, RCPT, RCPT, DATA in one segment leave in one segment, and all replies come in one', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  const segments: string[] = [];
  client.socket.on('data', (chunk) => segments.push(chunk.toString()));
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n');
  expect((await replies(client, 4)).map((line) => line.slice(0, 3))).toEqual(['250', '250', '250', '354']);
  expect(gateway.upstream.segments.at(-1)).toBe(
    'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\n',
  );
  client.send('x\r\n.\r\nMAIL FROM:<d@example.org>\r\n');
  expect((await replies(client, 2)).map((line) => line.slice(0, 3))).toEqual(['250', '250']);
  client.end();
});

test('an upstream without PIPELINING gets one command at a time', async () => {
  gateway = await testGateway({ keywords: KEYWORDS.filter((line) => line !== 'PIPELINING') });
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n');
  expect((await replies(client, 4)).map((line) => line.slice(0, 3))).toEqual(['250', '250', '250', '354']);
  expect(gateway.upstream.segments.slice(-3)).toEqual([
    'MAIL FROM:<a@example.org>\r\n',
    'RCPT TO:<b@example.net>\r\n',
    'RCPT TO:<c@example.net>\r\n',
  ]);
  client.end();
});

test('an error in the middle of a pipeline keeps its place', async () => {
  gateway = await testGateway({ script: { 'RCPT TO:<NO@': '550 5.1.1 nobody\r\n' } });
  const client = await loggedIn(gateway.port);
  client.send(
    [
      'MAIL FROM:<a@example.org>',
      'RCPT TO:<b@example.net>',
      'RCPT TO:<no@example.net>',
      'RCPT TO:broken',
      'RCPT TO:<c@example.net> X=Y',
      'RCPT TO:<d@example.net>',
      'DATA',
      '',
    ].join('\r\n'),
  );
  expect(await replies(client, 7)).toEqual([
    '250 2.1.0 upstream sender ok',
    '250 2.1.5 upstream recipient ok',
    '550 5.1.1 nobody',
    '501 5.1.3 The recipient is malformed: the address must stand in angle brackets',
    '555 5.5.4 The parameter X of RCPT is not supported',
    '250 2.1.5 upstream recipient ok',
    '354 End data with <CRLF>.<CRLF>',
  ]);
  client.send('x\r\n.\r\n');
  await client.reply();
  expect(gateway.upstream.accepted[0]?.to).toEqual(['RCPT TO:<b@example.net>', 'RCPT TO:<d@example.net>']);
  expect(gateway.story.submissions[0]?.envelope.recipients.map((r) => r.mailbox.localPart)).toEqual([
    'b',
    'd',
  ]);
  client.end();
});

test('MAIL is refused: what was pipelined behind it is refused too, and no message is taken', async () => {
  gateway = await testGateway({
    script: { MAIL: '550 5.7.1 not you\r\n', RCPT: '503 5.5.1 MAIL first\r\n' },
  });
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nNOOP\r\n');
  expect(await replies(client, 4)).toEqual([
    '550 5.7.1 not you',
    '503 5.5.1 MAIL first',
    '503 5.5.1 Send MAIL and RCPT first',
    '250 2.0.0 upstream noop',
  ]);
  expect(gateway.upstream.commands).not.toContain('DATA');
  client.end();
});

test('a confused upstream that refuses MAIL and accepts RCPT has no recipient', async () => {
  gateway = await testGateway({ script: { MAIL: '550 5.7.1 not you\r\n' } });
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  expect((await replies(client, 3)).map((line) => line.slice(0, 3))).toEqual(['550', '503', '503']);
  expect(gateway.story.expected).toEqual([]);
  client.end();
});

test('all recipients refused: DATA is refused by us', async () => {
  gateway = await testGateway({ script: { RCPT: '550 5.1.1 nobody\r\n' } });
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  expect((await replies(client, 3)).at(-1)).toBe('554 5.5.1 No recipient has been accepted');
  client.end();
});

test('one octet per segment, from EHLO to QUIT', async () => {
  gateway = await testGateway();
  const client = await TestClient.open(gateway.port);
  for (const [text, code] of [
    ['EHLO client.test\r\n', '250'],
    [`AUTH PLAIN ${PLAIN}\r\n`, '235'],
    ['MAIL FROM:<a@example.org>\r\n', '250'],
    ['RCPT TO:<b@example.net>\r\n', '250'],
    ['DATA\r\n', '354'],
    ['Subject: x\r\n\r\n..\r\n.\r\n', '250'],
    ['QUIT\r\n', '221'],
  ] as const) {
    await client.trickle(text);
    expect(await client.reply()).toContain(code);
  }
  expect(gateway.upstream.accepted[0]?.octets.toString()).toBe('Subject: x\r\n\r\n.\r\n');
});

test('1,000 recipients in one segment are relayed; one more is told to wait for the next mail', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  const rcpt = Array.from({ length: 1_003 }, (_, i) => `RCPT TO:<r${i}@example.net>\r\n`).join('');
  client.send(`MAIL FROM:<a@example.org>\r\n${rcpt}DATA\r\n`);
  const found = await replies(client, 1_005);
  expect(found.slice(1, 1_001).every((line) => line.startsWith('250'))).toBe(true);
  expect(found.slice(1_001, 1_004)).toEqual(Array(3).fill('452 4.5.3 Too many recipients'));
  expect(found[1_004]).toMatch(/^354/);
  client.send('x\r\n.\r\n');
  expect(await client.reply()).toMatch(QUEUED);
  expect(gateway.upstream.accepted[0]?.to.length).toBe(1_000);
  expect(gateway.story.expected.length).toBe(1_000);
  client.end();
});

test('a client that never reads its replies is not read any more', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  client.socket.pause();
  const noops = Buffer.from('VRFY x\r\n'.repeat(8_192));
  // It stops taking octets long before these 64 MB are through.
  let taken = 0;
  for (; taken < 1_024; taken++) {
    const blocked = !client.socket.write(noops);
    if (!blocked) continue;
    const drained = await Promise.race([
      new Promise((resolve) => client.socket.once('drain', () => resolve(true))),
      new Promise((resolve) => setTimeout(() => resolve(false), 1_500)),
    ]);
    if (drained === false) break;
  }
  expect(taken).toBeLessThan(1_024);
  client.end();
});
