import { afterEach, expect, test } from 'vitest';
import { PLAIN, TestClient } from './support/client.ts';
import type { FakeOptions } from './support/fake-upstream.ts';
import { loggedIn, named, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const CLOSE = { close: true } as const;

test('an upstream that is not there: 421 4.4.1 with a sentence, at EHLO', async () => {
  // Nobody listens there, and nobody is given it meanwhile.
  gateway = await testGateway({}, { upstream: { host: '127.0.0.1', port: 1, tls: 'none' } });
  const client = await TestClient.open(gateway.port);
  expect(await client.ask('EHLO client.test')).toBe(
    '421 4.4.1 The mail server cannot be reached; try again later or tell your administrator.',
  );
  expect(await client.toEnd()).toEqual([]);
  expect(gateway.events).toContainEqual(
    expect.objectContaining({ event: 'smtp.upstream-lost', upstream: '127.0.0.1:1' }),
  );
});

test.each([
  ['says nothing and closes', { GREETING: CLOSE }, /^421 4\.4\.1/],
  ['greets with 554', { GREETING: '554 5.3.2 go away\r\n' }, /^421 4\.3\.2/],
  ['greets with 421', { GREETING: '421 4.3.2 busy\r\n' }, /^421 4\.3\.2/],
  ['refuses EHLO', { EHLO: '502 5.5.1 what\r\n' }, /^421 4\.3\.2/],
  ['dies at EHLO', { EHLO: CLOSE }, /^421 4\.4\.1/],
  ['speaks HTTP', { GREETING: 'HTTP/1.1 400 Bad Request\r\n\r\n' }, /^421 4\.4\.1/],
])('an upstream that %s', async (_what, script: FakeOptions['script'], reply) => {
  gateway = await testGateway({ script: script ?? {} });
  const client = await TestClient.open(gateway.port);
  expect(await client.ask('EHLO client.test')).toMatch(reply);
  expect(await client.toEnd()).toEqual([]);
});

/** Plays a whole mail and gives the reply after which the session ended. */
async function lastWord(script: FakeOptions['script']): Promise<{ step: string; reply: string | null }> {
  gateway = await testGateway({ script: script ?? {} });
  const client = await loggedIn(gateway.port);
  const steps = ['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>', 'DATA', 'Subject: x\r\n\r\nx\r\n.'];
  for (const step of steps) {
    const reply = await client.ask(step);
    if (reply === null || Number(reply.slice(0, 3)) >= 400) {
      const more = await client.toEnd();
      expect(more.every((line) => line.startsWith('421 4.4.2'))).toBe(true);
      return { step: step.slice(0, 4), reply };
    }
  }
  throw new Error('nothing went wrong');
}

test.each([
  ['MAIL', { MAIL: CLOSE }, 'MAIL', /^421 4\.4\.2/],
  ['RCPT', { RCPT: CLOSE }, 'RCPT', /^421 4\.4\.2/],
  ['DATA', { DATA: CLOSE }, 'Subj', /^451 4\.4\.2 story/],
  ['the end of data', { END: CLOSE }, 'Subj', /^451 4\.4\.2 story/],
  ['half a reply to the end of data', { END: { say: '250 2.0', thenClose: true } }, 'Subj', /^451/],
  [
    'a first line of two to the end of data',
    { END: { say: '250-2.0.0 a\r\n', thenClose: true } },
    'Subj',
    /^451/,
  ],
  ['garbage at the end of data', { END: 'OK queued\r\n' }, 'Subj', /^451 4\.4\.2 story/],
  ['two replies to MAIL', { MAIL: '250 ok\r\n250 ok\r\n' }, 'RCPT', /^421 4\.4\.2/],
  ['354 to the end of data', { END: '354 more\r\n' }, 'Subj', /^451/],
  ['354 to MAIL', { MAIL: '354 what\r\n' }, 'MAIL', /^421 4\.4\.2/],
  ['354 to RCPT', { RCPT: '334 what\r\n' }, 'RCPT', /^421 4\.4\.2/],
] as const)(
  'lost at %s: a truthful refusal, and nothing counts as accepted',
  async (_what, script, step, reply) => {
    const word = await lastWord(script as FakeOptions['script']);
    expect(word.step).toBe(step);
    expect(word.reply).toMatch(reply);
    expect(gateway?.story.outcomes.filter((outcome) => outcome.kind === 'accepted')).toEqual([]);
  },
);

test('the upstream’s own 421 is handed on, and ends the session', async () => {
  const word = await lastWord({ MAIL: { say: '421 4.7.0 upstream is tired\r\n', thenClose: true } });
  expect(word).toEqual({ step: 'MAIL', reply: '421 4.7.0 upstream is tired' });
});

test('refusals at the end of data are the upstream’s own', async () => {
  for (const reply of ['552 5.2.2 mailbox full', '451 4.3.0 later', '550-5.7.1 no\r\n550 5.7.1 never']) {
    gateway = await testGateway({ script: { END: `${reply}\r\n` } });
    const client = await loggedIn(gateway.port);
    client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
    for (let i = 0; i < 3; i++) await client.reply();
    expect(await client.ask('x\r\n.')).toMatch(named(reply));
    // After a refused message the next one begins with a clean transaction.
    expect(await client.ask('MAIL FROM:<c@example.org>')).toMatch(/^250/);
    expect(gateway.upstream.commands.slice(-2)).toEqual(['RSET', 'MAIL FROM:<c@example.org>']);
    client.end();
    await gateway.close();
    gateway = null;
  }
});

test('an upstream that leaves while the client is idle: the client is told', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  for (const socket of gateway.upstream.open)
    socket.write('421 4.4.2 idle too long\r\n', () => socket.destroy());
  expect(await client.toEnd()).toEqual([
    '421 4.4.2 The connection to the mail server was lost; try again later.',
  ]);
  expect(gateway.events).toContainEqual(
    expect.objectContaining({ event: 'smtp.upstream-lost', reason: 'it said 421 4.4.2 idle too long' }),
  );
});

test('an upstream that leaves while the message is being sent: 451 after its end', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  client.send('Subject: x\r\n');
  await gateway.upstream.close();
  client.send('\r\nx\r\n.\r\n');
  const [verdict, farewell] = await client.toEnd();
  expect(verdict).toMatch(named('451 4.4.2 story: the mail server was lost'));
  expect(farewell).toMatch(/^421 4\.4\.2/);
});

test('a client that goes in the middle of its message: nothing is delivered', async () => {
  gateway = await testGateway();
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  await new Promise<void>((resolve) => client.socket.write('half a message\r\n.', () => resolve()));
  client.end();
  await gateway.listener.close();
  expect(gateway.story.submissions).toEqual([]);
  expect(gateway.upstream.commands).not.toContain('DATA');
});

test('an upstream that refuses a large message in its middle is heard', async () => {
  gateway = await testGateway({}, { maxMessageOctets: 8_000_000 });
  const { upstream } = gateway;
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  const { story } = gateway;
  const submit = story.submit.bind(story);
  story.submit = async (submission, handOver) => {
    for (const socket of upstream.open) {
      const onData = socket.listeners('data');
      socket.on('data', (chunk: Buffer) => {
        if (chunk.length < 1_000 || onData.length === 0) return;
        socket.removeAllListeners('data');
        socket.write('552 5.3.4 that is enough\r\n');
      });
    }
    return await submit(submission, handOver);
  };
  client.send(Buffer.concat([Buffer.from(`${'x'.repeat(98)}\r\n`.repeat(60_000)), Buffer.from('.\r\n')]));
  const replies = await client.toEnd();
  expect(replies[0]).toMatch(/^(552 5\.3\.4 that is enough|451 4\.4\.2 story)/);
  expect(upstream.accepted).toEqual([]);
});

test('PLAIN is not repeated to anybody after a loss', async () => {
  gateway = await testGateway({ script: { MAIL: CLOSE } });
  const client = await loggedIn(gateway.port);
  await client.ask('MAIL FROM:<a@example.org>');
  await client.toEnd();
  expect(gateway.upstream.commands.filter((line) => line.includes(PLAIN)).length).toBe(1);
  expect(gateway.upstream.connections).toBe(1);
});
