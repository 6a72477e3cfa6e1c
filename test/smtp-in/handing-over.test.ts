import { afterEach, expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type {
  HandOver,
  HandOverOutcome,
  Submission,
  SubmissionOutcome,
  Variant,
} from '../../src/pipeline/ports.ts';
import type { FakeOptions } from './support/fake-upstream.ts';
import {
  ForwardingStory,
  loggedIn,
  named,
  QUEUED,
  type TestGateway,
  testGateway,
} from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

type Split = (submission: Submission) => readonly Variant[];

/** Hands several variants over; the last outcome is the reply. */
class SplittingStory extends ForwardingStory {
  readonly #split: Split;
  late: HandOver | null = null;

  constructor(split: Split) {
    super();
    this.#split = split;
  }

  protected override async handOver(submission: Submission, handOver: HandOver): Promise<SubmissionOutcome> {
    this.late = handOver;
    let last: SubmissionOutcome = { kind: 'refused', reply: { code: 451, lines: ['4.3.0 no variant'] } };
    // All at once: the hand-over keeps them in order.
    const outcomes = await Promise.all(this.#split(submission).map((variant) => handOver.deliver(variant)));
    for (const outcome of outcomes) last = this.outcome(outcome);
    return last;
  }
}

const variant = (submission: Submission, names: readonly string[], text: string): Variant => ({
  recipients: submission.envelope.recipients.filter((r) => names.includes(r.mailbox.localPart)),
  octets: bufferSource(Buffer.from(text)),
  protection: { signed: true, encrypted: false },
  requireTls: false,
});

async function send(
  split: Split,
  fake: FakeOptions = {},
  mail = 'MAIL FROM:<a@example.org>',
): Promise<string | null> {
  gateway = await testGateway(fake, {}, new SplittingStory(split));
  const client = await loggedIn(gateway.port);
  client.send(
    `${mail}\r\nRCPT TO:<b@example.net> NOTIFY=FAILURE\r\nRCPT TO:<c@example.net>\r\nRCPT TO:<d@example.net>\r\nDATA\r\n`,
  );
  for (let i = 0; i < 5; i++) await client.reply();
  client.send('plain\r\n.\r\n');
  const reply = await client.reply();
  client.end();
  return reply;
}

const afterLogin = () => gateway?.upstream.commands.slice(2);

test('all recipients in another order: the open transaction goes on', async () => {
  const reply = await send((submission) => [
    { ...variant(submission, [], 'x\r\n'), recipients: [...submission.envelope.recipients].reverse() },
  ]);
  expect(reply).toMatch(QUEUED);
  expect(afterLogin()).toEqual([
    'MAIL FROM:<a@example.org>',
    'RCPT TO:<b@example.net> NOTIFY=FAILURE',
    'RCPT TO:<c@example.net>',
    'RCPT TO:<d@example.net>',
    'DATA',
  ]);
});

test('two variants: each has its recipients with their parameters, its own size and octets', async () => {
  const reply = await send(
    (submission) => [
      variant(submission, ['b', 'd'], 'first\r\n'),
      variant(submission, ['c'], 'second..\r\n.x\r\n'),
    ],
    {},
    'MAIL FROM:<a@example.org> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=7',
  );
  expect(reply).toMatch(QUEUED);
  expect(afterLogin()).toEqual([
    'MAIL FROM:<a@example.org> SIZE=65676 BODY=8BITMIME RET=HDRS ENVID=7',
    'RCPT TO:<b@example.net> NOTIFY=FAILURE',
    'RCPT TO:<c@example.net>',
    'RCPT TO:<d@example.net>',
    'RSET',
    'MAIL FROM:<a@example.org> SIZE=7 BODY=8BITMIME RET=HDRS ENVID=7',
    'RCPT TO:<b@example.net> NOTIFY=FAILURE',
    'RCPT TO:<d@example.net>',
    'DATA',
    'MAIL FROM:<a@example.org> SIZE=14 BODY=8BITMIME RET=HDRS ENVID=7',
    'RCPT TO:<c@example.net>',
    'DATA',
  ]);
  expect(gateway?.upstream.accepted.map((mail) => mail.octets.toString())).toEqual([
    'first\r\n',
    'second..\r\n.x\r\n',
  ]);
});

test('a recipient refused on the second run: its whole variant is rejected with that reply, and nothing of it is sent', async () => {
  let asked = 0;
  const reply = await send(
    (submission) => [variant(submission, ['b'], 'first\r\n'), variant(submission, ['c', 'd'], 'second\r\n')],
    { script: { 'RCPT TO:<D@': () => (++asked > 1 ? '452 4.2.2 full by now\r\n' : '250 ok\r\n') } },
  );
  expect(reply).toMatch(named('452 4.2.2 full by now'));
  expect(gateway?.upstream.accepted.map((mail) => mail.octets.toString())).toEqual(['first\r\n']);
  expect(gateway?.upstream.commands.at(-1)).toBe('RSET');
});

test.each([['MAIL', { MAIL: '250 ok\r\n', second: '550 5.7.1 no more\r\n' }]] as const)(
  '%s refused on the second run: rejected with that reply',
  async () => {
    let asked = 0;
    const reply = await send(
      (submission) => [variant(submission, ['b'], 'first\r\n'), variant(submission, ['c'], 'second\r\n')],
      { script: { MAIL: () => (++asked > 2 ? '550 5.7.1 no more\r\n' : '250 ok\r\n') } },
    );
    expect(reply).toMatch(named('550 5.7.1 no more'));
    expect(gateway?.upstream.accepted.length).toBe(1);
  },
);

test('the upstream is lost between two variants: the second is unreachable, the first stays accepted', async () => {
  let ends = 0;
  const reply = await send(
    (submission) => [variant(submission, ['b'], 'first\r\n'), variant(submission, ['c'], 'second\r\n')],
    { script: { END: () => (++ends > 1 ? { close: true } : '250 2.0.0 first\r\n') } },
  );
  expect(reply).toMatch(/^451 4\.4\.2 story/);
  expect(gateway?.story.outcomes.map((outcome) => outcome.kind)).toEqual(['accepted', 'unreachable']);
});

test.each<[string, NonNullable<FakeOptions['script']>, boolean]>([
  ['before the message', { DATA: { close: true } }, true],
  ['after the message', { END: { close: true } }, false],
])('the upstream is lost %s: it is known whether it may have it', async (_, script, unsent) => {
  await send((submission) => [variant(submission, ['b', 'c', 'd'], 'x\r\n')], { script });
  const [outcome] = gateway?.story.outcomes ?? [];
  expect(outcome).toMatchObject({ kind: 'unreachable' });
  expect(outcome !== undefined && 'unsent' in outcome).toBe(unsent);
});

test('DATA refused: rejected with that reply', async () => {
  const reply = await send((submission) => [variant(submission, ['b', 'c', 'd'], 'x\r\n')], {
    script: { DATA: '554 5.7.1 no valid recipients\r\n' },
  });
  expect(reply).toMatch(named('554 5.7.1 no valid recipients'));
});

test('a variant larger than the upstream takes is not sent', async () => {
  const reply = await send((submission) => [variant(submission, ['b', 'c', 'd'], 'x'.repeat(10_485_761))]);
  expect(reply).toMatch(
    named('552 5.3.4 The protected message has 10485761 octets; the mail server accepts 10485760'),
  );
  expect(gateway?.upstream.commands).not.toContain('DATA');
});

test('nobody gets a message who was not accepted as a recipient', async () => {
  const stranger = { mailbox: { localPart: 'eve', domain: 'example.net' }, parameters: [] };
  for (const recipients of [[stranger], []]) {
    const reply = await send((submission) => [{ ...variant(submission, [], 'x\r\n'), recipients }]);
    expect(reply).toMatch(/^451/);
    expect(gateway?.upstream.commands).not.toContain('DATA');
    await gateway?.close();
    gateway = null;
  }
});

test('what a story delivers after its answer goes nowhere', async () => {
  await send((submission) => [variant(submission, ['b', 'c', 'd'], 'x\r\n')]);
  const story = gateway?.story as SplittingStory;
  const submission = story.submissions[0] as Submission;
  expect(await story.late?.deliver(variant(submission, ['b'], 'late\r\n'))).toEqual({
    ...{ kind: 'unreachable', unsent: true },
    reason: 'the transaction is over',
  });
  expect(gateway?.upstream.accepted.length).toBe(1);
});

test('a story that breaks its word and throws: 421, and nothing is delivered', async () => {
  gateway = await testGateway();
  gateway.story.submit = () => Promise.reject(new Error('defect in the story'));
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  expect(await client.ask('x\r\n.')).toBe('421 4.3.0 The gateway has a problem; try again later.');
  expect(await client.toEnd()).toEqual([]);
  expect(gateway.events).toContainEqual(expect.objectContaining({ event: 'gateway.defect' }));
  expect(gateway.upstream.accepted).toEqual([]);
});

test('a story that refuses: its reply is the client’s, and the next mail begins clean', async () => {
  gateway = await testGateway();
  gateway.story.submit = async () => ({
    kind: 'refused',
    reply: { code: 550, lines: ['5.7.1 There is no certificate for bob', '5.7.1 Ask him for a signed mail'] },
  });
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  expect(await client.ask('x\r\n.')).toMatch(
    named('550-5.7.1 There is no certificate for bob\r\n550 5.7.1 Ask him for a signed mail'),
  );
  expect(await client.ask('MAIL FROM:<c@example.org>')).toMatch(/^250/);
  expect(gateway.upstream.segments.at(-1)).toBe('RSET\r\nMAIL FROM:<c@example.org>\r\n');
  client.end();
});

test('a client that goes while its message is handed over: it is delivered once, and the upstream is left in order', async () => {
  gateway = await testGateway();
  const { story } = gateway;
  const submit = story.submit.bind(story);
  const client = await loggedIn(gateway.port);
  const done = Promise.withResolvers<SubmissionOutcome>();
  story.submit = async (submission, handOver) => {
    const gone = new Promise((resolve) => client.socket.once('close', resolve));
    client.end();
    await gone;
    const outcome = await submit(submission, handOver);
    done.resolve(outcome);
    return outcome;
  };
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  client.send('x\r\n.\r\n');
  expect((await done.promise).kind).toBe('accepted');
  expect(gateway.upstream.accepted.length).toBe(1);
  while (!gateway.upstream.commands.includes('QUIT')) await new Promise((resolve) => setImmediate(resolve));
  expect(gateway.upstream.commands.at(-1)).toBe('QUIT');
});

test('a variant that must leave by TLS only goes nowhere without', async () => {
  const reply = await send((submission) => [{ ...variant(submission, ['b'], 'x\r\n'), requireTls: true }]);
  expect(reply).toMatch(/^451/);
  expect(gateway?.upstream.commands).not.toContain('DATA');
});

test('RFC 2033 §4.2: by LMTP each recipient has an answer, whatever the order in which they were named', async () => {
  const outcomes: HandOverOutcome[] = [];
  class Looking extends SplittingStory {
    protected override outcome(outcome: HandOverOutcome): SubmissionOutcome {
      outcomes.push(outcome);
      return super.outcome(outcome);
    }
  }
  const split: Split = (submission) => [
    { ...variant(submission, [], 'x\r\n'), recipients: [...submission.envelope.recipients].reverse() },
  ];
  gateway = await testGateway(
    { protocol: 'lmtp', script: { END: '250 2.0.0 b\r\n552 5.2.2 c\r\n451 4.2.0 d\r\n' } },
    {},
    new Looking(split),
  );
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\n');
  for (const name of ['b', 'c', 'd']) client.send(`RCPT TO:<${name}@example.net>\r\n`);
  client.send('DATA\r\n');
  for (let i = 0; i < 5; i++) await client.reply();
  client.send('plain\r\n.\r\n');
  await client.reply();
  client.end();
  expect(gateway.upstream.commands[0]).toBe('LHLO gateway.test');
  const [each] = outcomes;
  expect(each?.kind).toBe('each');
  expect(
    each?.kind === 'each' &&
      each.outcomes.map(({ recipient, outcome }) => [
        recipient.mailbox.localPart,
        outcome.kind === 'unreachable' ? outcome.kind : `${outcome.kind} ${outcome.reply.code}`,
      ]),
  ).toEqual([
    ['d', 'rejected 451'],
    ['c', 'rejected 552'],
    ['b', 'accepted 250'],
  ]);
});

test('of what was opened a server is asked to bring back no text, whatever the client has asked for', async () => {
  const both = ['b', 'c', 'd'];
  await send(
    (s) => [{ ...variant(s, both, 'opened\r\n'), opened: true }],
    { keywords: ['PIPELINING', 'DSN', 'AUTH PLAIN'] },
    'MAIL FROM:<a@example.org> RET=FULL ENVID=Q1',
  );
  const begun = gateway?.upstream.commands.filter((line) => line.startsWith('MAIL')) ?? [];
  expect(begun[0]).toContain('RET=FULL');
  expect(begun.at(-1)).toMatch(/ ENVID=Q1 .*RET=HDRS|RET=HDRS.* ENVID=Q1/);
  expect(begun.at(-1)).not.toContain('RET=FULL');
});
