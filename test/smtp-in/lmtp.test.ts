import { afterEach, expect, test } from 'vitest';
import type { OutboundStory } from '../../src/pipeline/ports.ts';
import { TestClient } from './support/client.ts';
import { inbound, type TestRelay, testRelay } from './support/relay.ts';

/** LMTP (RFC 2033) on a listener for other servers. */

const SETTINGS = inbound(['example.org'], { protocol: 'lmtp' });

let relay: TestRelay | null = null;
afterEach(async () => {
  await relay?.close();
  relay = null;
});

/** Every second recipient is refused. */
const alternating = (story: OutboundStory): OutboundStory => ({
  judgeRecipient: () => null,
  expectRecipient: () => undefined,
  async submit(submission, handOver) {
    const outcome = await story.submit(submission, handOver);
    const refusal = { code: 451, lines: ['4.7.5 the key is away'] };
    const each = new Map(
      submission.envelope.recipients.map((one, i) => [one, i % 2 === 0 ? outcome.reply : refusal]),
    );
    return { ...outcome, each };
  },
});

async function greeted(...args: Parameters<typeof testRelay>): Promise<TestClient> {
  relay = await testRelay(...args);
  const client = await TestClient.open(relay.port);
  expect(await client.ask('LHLO server.test')).toMatch(/^250-gateway\.test\r\n[\s\S]*PIPELINING/);
  return client;
}

test('it greets with LHLO alone', async () => {
  relay = await testRelay(SETTINGS);
  const client = await TestClient.open(relay.port);
  expect(await client.ask('EHLO server.test')).toBe('500 5.5.1 This is LMTP: send LHLO');
  expect(await client.ask('HELO server.test')).toBe('500 5.5.1 This is LMTP: send LHLO');
  expect(await client.ask('MAIL FROM:<a@b.test>')).toMatch(/^503 /);
  expect(await client.ask('LHLO server.test')).toMatch(/^250-/);
  expect(await client.ask('MAIL FROM:<a@b.test>')).toMatch(/^250 /);
});

test('by SMTP there is no LHLO', async () => {
  relay = await testRelay(inbound(['example.org']));
  const client = await TestClient.open(relay.port);
  expect(await client.ask('LHLO server.test')).toMatch(/^500 5\.5\.1/);
});

test('after the end of data there is a reply for each recipient that was taken, in their order', async () => {
  const client = await greeted(SETTINGS, {}, { through: alternating });
  client.send(
    [
      'MAIL FROM:<a@b.test>',
      'RCPT TO:<one@example.org>',
      'RCPT TO:<two@elsewhere.test>',
      'RCPT TO:<three@example.org>',
      'RCPT TO:<four@example.org>',
      'DATA',
      '',
    ].join('\r\n'),
  );
  for (const code of ['250', '250', '550', '250', '250', '354']) {
    expect(await client.reply()).toMatch(new RegExp(`^${code} `));
  }
  client.send('Subject: a\r\n\r\nb\r\n.\r\nNOOP\r\n');
  expect(await client.reply()).toMatch(/^250 /);
  expect(await client.reply()).toMatch(/^451 4\.7\.5 the key is away/);
  expect(await client.reply()).toMatch(/^250 /);
  expect(await client.reply()).toMatch(/^250 2\.0\.0/);
  expect(client.unread).toBe('');
  const [submission] = relay?.story.submissions ?? [];
  expect(submission?.origin.arrival?.protocol).toBe('LMTP');
});

test('what is refused as a whole is refused for each', async () => {
  const client = await greeted(SETTINGS, {}, { maxMessageOctets: 1_024 });
  client.send('MAIL FROM:<a@b.test>\r\nRCPT TO:<one@example.org>\r\nRCPT TO:<two@example.org>\r\nDATA\r\n');
  for (let i = 0; i < 4; i++) await client.reply();
  client.send(`Subject: a\r\n\r\n${'b'.repeat(70)}\r\n`.repeat(20));
  client.send('.\r\nNOOP\r\n');
  expect(await client.reply()).toMatch(/^552 5\.3\.4/);
  expect(await client.reply()).toMatch(/^552 5\.3\.4/);
  expect(await client.reply()).toMatch(/^250 2\.0\.0/);
});

test('without a recipient that was taken there is no data', async () => {
  const client = await greeted(SETTINGS);
  await client.ask('MAIL FROM:<a@b.test>');
  await client.ask('RCPT TO:<two@elsewhere.test>');
  // RFC 2033 §4.2: 503 where no RCPT has succeeded.
  expect(await client.ask('DATA')).toMatch(/^503 5\.5\.1/);
});

test('RFC 2033 §4.3: the last chunk has a reply for each recipient too, and what was refused before it as well', async () => {
  const client = await greeted(SETTINGS, {}, { maxMessageOctets: 1_024 });
  const envelope = 'MAIL FROM:<a@b.test>\r\nRCPT TO:<one@example.org>\r\nRCPT TO:<two@example.org>\r\n';
  const large = `BDAT 2000\r\n${'b'.repeat(2_000)}`;
  const codes = async (text: string): Promise<string[]> => {
    client.send(`${text}VRFY x\r\n`);
    const said: string[] = [];
    while (said.at(-1) !== '252') said.push((await client.reply())?.slice(0, 3) ?? '252');
    return said;
  };
  expect(await codes(`${envelope}BDAT 4\r\nx: yBDAT 2 LAST\r\n\r\n`)).toEqual([
    '250',
    '250',
    '250',
    '250',
    '250',
    '250',
    '252',
  ]);
  expect(await codes(`${envelope}${large}BDAT 2 LAST\r\n\r\n`)).toEqual([
    '250',
    '250',
    '250',
    '552',
    '552',
    '552',
    '252',
  ]);
  expect(await codes(`${envelope}${large.replace('2000', '2000 LAST')}`)).toEqual([
    '250',
    '250',
    '250',
    '552',
    '552',
    '252',
  ]);
});

test('a 421 after the end of data ends the session, when all have heard it', async () => {
  const client = await greeted(
    SETTINGS,
    {},
    {
      through: () => ({
        ...{ judgeRecipient: () => null, expectRecipient: () => undefined },
        submit: async () => ({ kind: 'refused', reply: { code: 421, lines: ['4.3.2 going away'] } }),
      }),
    },
  );
  client.send('MAIL FROM:<a@b.test>\r\nRCPT TO:<one@example.org>\r\nRCPT TO:<two@example.org>\r\nDATA\r\n');
  for (let i = 0; i < 4; i++) await client.reply();
  client.send('x\r\n.\r\nNOOP\r\n');
  expect(await client.reply()).toMatch(/^421/);
  expect(await client.reply()).toMatch(/^421/);
  expect(await client.reply()).toBeNull();
});

test('RFC 2033 §4.2: the replies go by the order of the RCPT commands, whoever of the recipients was judged first', async () => {
  const judged = new Map(['one', 'three', 'four'].map((name) => [name, Promise.withResolvers<null>()]));
  const client = await greeted(
    SETTINGS,
    {},
    {
      through: (story) => ({
        ...alternating(story),
        judgeRecipient: (_origin, { mailbox }) => judged.get(mailbox.localPart)?.promise ?? null,
      }),
    },
  );
  const names = ['one', 'two', 'three', 'four'];
  const rcpts = names.map((name) => `RCPT TO:<${name}@example.org>\r\n`).join('');
  client.send(`MAIL FROM:<a@b.test>\r\n${rcpts}VRFY x\r\n`);
  expect(await client.reply()).toMatch(/^250 /);
  for (const name of ['four', 'three', 'one']) {
    judged.get(name)?.resolve(null);
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const code of ['250', '250', '250', '250', '252'])
    expect((await client.reply())?.slice(0, 3)).toBe(code);
  expect(relay?.upstream.commands.slice(-4)).toEqual(names.map((name) => `RCPT TO:<${name}@example.org>`));
  expect(await client.ask('DATA')).toMatch(/^354/);
  client.send('Subject: a\r\n\r\nb\r\n.\r\n');
  for (const code of ['250', '451', '250', '451']) expect((await client.reply())?.slice(0, 3)).toBe(code);
  const [submission] = relay?.story.submissions ?? [];
  expect(submission?.envelope.recipients.map(({ mailbox }) => mailbox.localPart)).toEqual(names);
});
