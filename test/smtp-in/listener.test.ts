import { createServer } from 'node:net';
import { afterAll, afterEach, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { startSubmissionListener } from '../../src/smtp-in/listener.ts';
import { certificateFor } from '../support/certificate.ts';
import { TestClient } from './support/client.ts';
import { ForwardingStory, loggedIn, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

const material = certificateFor('localhost');
const other = certificateFor('other.test');
afterAll(() => {
  material.remove();
  other.remove();
});
let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const options = {
  name: 'submission',
  host: '127.0.0.1',
  port: 0,
  tls: 'none',
  upstream: { host: '127.0.0.1', port: 1, tls: 'none' },
  story: new ForwardingStory(),
  log: { write: () => undefined },
  hostname: 'gateway.test',
} as const;

async function failure(changes: object): Promise<SealgateError> {
  try {
    const started = await startSubmissionListener({ ...options, ...changes });
    await started.close();
  } catch (error) {
    if (error instanceof SealgateError) return error;
    throw error;
  }
  throw new Error('it started');
}

test('a busy port is named with its place and what to do', async () => {
  const busy = createServer();
  await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
  const address = busy.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const error = await failure({ port });
  expect(error.code).toBe('listener.port-in-use');
  expect(error.publicText).toBe(
    `The listener "submission" cannot listen on 127.0.0.1:${port}: another program listens on this port. Stop it, or choose another port.`,
  );
  await new Promise((resolve) => busy.close(resolve));
});

test.each([
  ['an address of another machine', { host: '192.0.2.1' }, 'listener.address'],
  ['TLS without a certificate', { tls: 'implicit' }, 'listener.tls'],
  ['a certificate that is none', { tls: 'starttls', tlsMaterial: { cert: 'x', key: 'y' } }, 'listener.tls'],
  [
    'a key of another certificate',
    { tls: 'implicit', tlsMaterial: { cert: material.cert, key: other.key } },
    'listener.tls',
  ],
  [
    'a missing CA file',
    { upstream: { host: 'x', port: 1, tls: 'implicit', caFile: '/nowhere/ca.pem' } },
    'upstream.ca-file',
  ],
])('%s is refused at the start', async (_what, changes, code) => {
  const error = await failure(changes);
  expect(error.code).toBe(code);
  expect(error.duration).toBe('permanent');
  expect(error.publicText).not.toContain('PRIVATE');
});

test('more clients than the limit are turned away, and there is room again when one leaves', async () => {
  gateway = await testGateway({}, { maxConnections: 2 });
  const first = await loggedIn(gateway.port);
  const second = await loggedIn(gateway.port);
  const third = new TestClient((await import('node:net')).connect(gateway.port, '127.0.0.1'));
  expect(await third.toEnd()).toEqual(['421 4.7.0 Too many connections; try again later']);
  expect(await first.ask('QUIT')).toMatch(/^221/);
  await first.toEnd();
  while (!gateway.events.some((event) => event.event === 'smtp.closed')) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const fourth = await loggedIn(gateway.port);
  fourth.end();
  second.end();
});

test('closing says 421 to those who are idle, in whatever state', async () => {
  gateway = await testGateway();
  const fresh = await TestClient.open(gateway.port);
  const idle = await loggedIn(gateway.port);
  const inData = await loggedIn(gateway.port);
  inData.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nhalf');
  for (let i = 0; i < 3; i++) await inData.reply();
  const closed = gateway.listener.close();
  for (const client of [fresh, idle, inData]) {
    expect(await client.toEnd()).toEqual(['421 4.3.2 The gateway is shutting down; try again later']);
  }
  await closed;
  expect(gateway.upstream.commands).not.toContain('DATA');
});

test('closing waits for the message that is being handed over', async () => {
  const end = Promise.withResolvers<void>();
  gateway = await testGateway();
  const { story, listener } = gateway;
  const submit = story.submit.bind(story);
  const submitted = Promise.withResolvers<void>();
  story.submit = async (submission, handOver) => {
    submitted.resolve();
    await end.promise;
    return await submit(submission, handOver);
  };
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  client.send('x\r\n.\r\n');
  await submitted.promise;
  const closed = listener.close();
  end.resolve();
  expect(await client.toEnd()).toEqual([
    expect.stringMatching(QUEUED),
    '421 4.3.2 The gateway is shutting down; try again later',
  ]);
  await closed;
  expect(gateway.upstream.accepted.length).toBe(1);
});

test('a client that goes away while its key waits for a PIN has sent its mail, once', async () => {
  const typed = Promise.withResolvers<void>();
  const submitted = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  gateway = await testGateway();
  const { story } = gateway;
  const submit = story.submit.bind(story);
  story.submit = async (submission, handOver) => {
    submitted.resolve();
    await typed.promise;
    return await submit(submission, handOver).finally(done.resolve);
  };
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  client.send('x\r\n.\r\n');
  await submitted.promise;
  client.end();
  await client.toEnd();
  typed.resolve();
  await done.promise;
  expect(gateway.upstream.accepted.length).toBe(1);
  expect(story.outcomes).toMatchObject([{ kind: 'accepted' }]);
});

test('a client that does not log in, in plain text or before its handshake, is not waited for', async () => {
  const tlsMaterial = { cert: material.cert, key: material.key };
  gateway = await testGateway({}, { timeouts: { beforeAuth: 1_000 } });
  const silent = await TestClient.open(gateway.port);
  expect(await silent.toEnd()).toEqual([
    '421 4.4.2 Nothing was received for too long; closing the connection',
  ]);
  const implicit = await testGateway({}, { tls: 'implicit', tlsMaterial, timeouts: { beforeAuth: 1_000 } });
  const handshaking = await TestClient.open(implicit.port);
  expect(await handshaking.toEnd()).toEqual([]);
  await implicit.close();
});

test('a client that falls silent after its login is let go, in the middle of a message too', async () => {
  gateway = await testGateway({}, { timeouts: { command: 1_000 } });
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nhalf');
  expect((await client.toEnd()).at(-1)).toBe(
    '421 4.4.2 Nothing was received for too long; closing the connection',
  );
  expect(gateway.story.submissions).toEqual([]);
});

test('a client that waits for a slow upstream is not silent', async () => {
  gateway = await testGateway({}, { timeouts: { command: 1_000 } });
  const { story } = gateway;
  const submit = story.submit.bind(story);
  story.submit = async (submission, handOver) => {
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    return await submit(submission, handOver);
  };
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nx\r\n.\r\n');
  const replies = await client.toEnd();
  expect(replies[3]).toMatch(QUEUED);
});
