import { afterEach, expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import type { OwnMailbox, Submission } from '../../src/pipeline/ports.ts';
import { reply } from '../../src/smtp/reply.ts';
import { TestClient } from './support/client.ts';
import { loggedIn, named, type TestGateway, testGateway } from './support/gateway.ts';

/** The gateway as a recipient: what is for it goes no further, and nobody else gets it. */

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

class Answers implements OwnMailbox {
  taken: Submission[] = [];
  judged = 0;
  isOwn({ localPart }: { localPart: string }): boolean {
    return localPart.startsWith('gateway');
  }
  async judge(_origin: unknown, { localPart }: { localPart: string }) {
    this.judged++;
    return localPart === 'gateway+good' ? reply(250, '2.1.5', 'ok') : reply(550, '5.1.1', 'no question');
  }
  async take(submission: Submission) {
    this.taken.push(submission);
    return reply(250, '2.0.0', 'taken');
  }
}

async function start(
  script: Record<string, string> = {},
): Promise<{ answers: Answers; running: TestGateway; client: TestClient }> {
  const answers = new Answers();
  const running = await testGateway({ script }, { ownMailbox: answers });
  gateway = running;
  return { answers, running, client: await loggedIn(running.port) };
}

async function codes(client: TestClient, count: number): Promise<string[]> {
  const found: string[] = [];
  for (let i = 0; i < count; i++) found.push(((await client.reply()) ?? 'closed').slice(0, 3));
  return found;
}

const OWN = 'RCPT TO:<gateway+good@example.org>\r\n';
const OTHER = 'RCPT TO:<b@example.net>\r\n';
const MAIL = 'MAIL FROM:<alice@example.org>\r\n';

test('an answer is taken, with its octets and its login, and the mail server hears nothing of it', async () => {
  const { answers, running, client } = await start();
  client.send(`${MAIL}${OWN}DATA\r\n`);
  expect(await codes(client, 3)).toEqual(['250', '250', '354']);
  client.send('From: alice@example.org\r\n\r\nsend\r\n.\r\n');
  expect(await client.reply()).toMatch(named('250 2.0.0 taken'));
  expect(answers.taken[0]).toMatchObject({
    origin: { principal: { login: 'alice@example.org' } },
    envelope: { recipients: [{ mailbox: { localPart: 'gateway+good' } }] },
  });
  expect(String(await collectFrom(answers.taken[0]?.octets ?? bufferSource(Buffer.alloc(0))))).toBe(
    'From: alice@example.org\r\n\r\nsend\r\n',
  );
  expect(running.upstream.accepted).toEqual([]);
  expect(running.upstream.segments.join('')).not.toMatch(/gateway\+|DATA/);
  expect(running.story.submissions).toEqual([]);
  // What comes behind it is a mail like any other.
  client.send(`${MAIL}${OTHER}DATA\r\n`);
  expect(await codes(client, 3)).toEqual(['250', '250', '354']);
  client.send('x\r\n.\r\n');
  await client.reply();
  expect(running.upstream.accepted[0]?.to).toEqual(['RCPT TO:<b@example.net>']);
  expect(answers.taken).toHaveLength(1);
  client.end();
});

test.each([
  ['behind another recipient', `${OTHER}${OWN}`, ['250', '550'], 1],
  ['before another recipient', `${OWN}${OTHER}`, ['250', '550'], 0],
  ['twice', `${OWN}${OWN}`, ['250', '550'], 0],
])('%s it is refused, and whoever came first has the mail alone', async (_, recipients, expected, mails) => {
  const { answers, running, client } = await start();
  client.send(`${MAIL}${recipients}DATA\r\n`);
  expect(await codes(client, 4)).toEqual(['250', ...expected, '354']);
  client.send('x\r\n.\r\n');
  await client.reply();
  expect(running.upstream.accepted).toHaveLength(mails);
  expect(answers.taken).toHaveLength(1 - mails);
  client.end();
});

test('behind a recipient whom the mail server has refused it may stand', async () => {
  const { answers, client } = await start({ 'RCPT TO:<NO@': '550 5.1.1 nobody\r\n' });
  client.send(MAIL);
  client.send('RCPT TO:<no@example.net>\r\n');
  expect(await codes(client, 2)).toEqual(['250', '550']);
  client.send(`${OWN}DATA\r\n`);
  expect(await codes(client, 2)).toEqual(['250', '354']);
  client.send('x\r\n.\r\n');
  expect(await client.reply()).toMatch(named('250 2.0.0 taken'));
  expect(answers.taken).toHaveLength(1);
  client.end();
});

test('one that the gateway did not ask for is refused at RCPT, and no message is taken', async () => {
  const { answers, running, client } = await start();
  client.send(`${MAIL}RCPT TO:<gateway+bad@example.org>\r\nDATA\r\n`);
  expect(await codes(client, 3)).toEqual(['250', '550', '554']);
  expect(answers.taken).toEqual([]);
  // Then others may follow.
  client.send(`${OTHER}DATA\r\n`);
  expect(await codes(client, 2)).toEqual(['250', '354']);
  client.send('x\r\n.\r\n');
  await client.reply();
  expect(running.upstream.accepted).toHaveLength(1);
  client.end();
});

test('nobody answers without a login, without MAIL, or when the mail server has refused MAIL', async () => {
  const { answers, running, client } = await start({ 'MAIL FROM:<MALLORY@': '550 5.7.1 not yours\r\n' });
  const stranger = await TestClient.open(running.port);
  await stranger.ask('EHLO client.test');
  stranger.send(`${MAIL}${OWN}DATA\r\n`);
  expect(await codes(stranger, 3)).toEqual(['530', '530', '503']);
  stranger.end();
  client.send(`${OWN}MAIL FROM:<mallory@example.org>\r\n${OWN}DATA\r\n`);
  expect(await codes(client, 4)).toEqual(['503', '550', '503', '503']);
  expect(answers.taken).toEqual([]);
  client.end();
});
