import { afterEach, expect, test } from 'vitest';
import { PLAIN, TestClient } from './support/client.ts';
import { loggedIn, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

test('a mail goes through, and every reply but greeting, EHLO and 354 is the upstream’s', async () => {
  gateway = await testGateway();
  const client = await TestClient.open(gateway.port);
  expect(await client.ask('EHLO client.test')).toBe(
    [
      '250-gateway.test',
      '250-PIPELINING',
      '250-CHUNKING',
      '250-SIZE 7443017',
      '250-8BITMIME',
      '250-SMTPUTF8',
      '250-DSN',
      '250-ENHANCEDSTATUSCODES',
      '250-LIMITS RCPTMAX=1000',
      '250-AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER',
      '250 HELP',
    ].join('\r\n'),
  );
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toBe('235 2.7.0 upstream says welcome');
  expect(await client.ask('MAIL FROM:<alice@example.org> BODY=8BITMIME')).toBe(
    '250 2.1.0 upstream sender ok',
  );
  expect(await client.ask('RCPT TO:<bob@example.net> NOTIFY=NEVER')).toBe('250 2.1.5 upstream recipient ok');
  expect(await client.ask('DATA')).toBe('354 End data with <CRLF>.<CRLF>');
  client.send('Subject: x\r\n\r\n..dot\r\nbye\r\n.\r\n');
  expect(await client.reply()).toMatch(QUEUED);
  expect(await client.ask('QUIT')).toBe('221 2.0.0 Goodbye');
  expect(await client.toEnd()).toEqual([]);
  expect(gateway.upstream.accepted).toEqual([
    {
      from: 'MAIL FROM:<alice@example.org> BODY=8BITMIME',
      to: ['RCPT TO:<bob@example.net> NOTIFY=NEVER'],
      octets: Buffer.from('Subject: x\r\n\r\n.dot\r\nbye\r\n'),
    },
  ]);
  const [submission] = gateway.story.submissions;
  expect(submission?.origin.principal).toEqual({ login: 'alice@example.org' });
  expect(gateway.story.expected.length).toBe(1);
});

test('two mails in one session: the second needs no RSET', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  for (let i = 0; i < 2; i++) {
    client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
    expect(await client.reply()).toMatch(/^250/);
    expect(await client.reply()).toMatch(/^250/);
    expect(await client.reply()).toMatch(/^354/);
    client.send('x\r\n.\r\n');
    expect(await client.reply()).toMatch(/^250/);
  }
  expect(gateway.upstream.accepted.length).toBe(2);
  expect(gateway.upstream.commands.filter((c) => c === 'RSET')).toEqual([]);
  client.end();
});
