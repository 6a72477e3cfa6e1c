import { afterEach, expect, test } from 'vitest';
import { Secret } from '../../src/log/secret.ts';
import type { SubmissionListenerOptions } from '../../src/smtp-in/listener.ts';
import { PLAIN, TestClient } from './support/client.ts';
import { QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

/** Sessions that share a connection to the mail server, and those that must not. */

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

async function start(options: Partial<SubmissionListenerOptions>): Promise<TestGateway> {
  gateway = await testGateway({}, options);
  return gateway;
}

async function session({ port }: TestGateway, ...before: string[]): Promise<void> {
  const client = await TestClient.open(port);
  for (const line of ['EHLO client.test', ...before]) await client.ask(line);
  for (const line of ['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>', 'DATA']) {
    expect(await client.ask(line)).toMatch(/^[23]5/);
  }
  expect(await client.ask('text\r\n.')).toMatch(QUEUED);
  expect(await client.ask('QUIT')).toMatch(/^221/);
  await client.toEnd();
}

test('sessions of an assumed login share a connection, which is reset in between', async () => {
  const running = await start({ assumeLogin: 'alice@example.org' });
  for (let i = 0; i < 3; i++) await session(running);
  expect(running.upstream.connections).toBe(1);
  expect(running.upstream.accepted.length).toBe(3);
  expect(running.upstream.commands.filter((line) => line === 'RSET').length).toBe(2);
});

test('a client that goes in the middle of its transaction leaves nothing of it to the next one', async () => {
  const running = await start({ assumeLogin: 'alice@example.org' });
  const rude = await TestClient.open(running.port);
  await rude.ask('EHLO client.test');
  await rude.ask('MAIL FROM:<eve@example.org>');
  await rude.ask('RCPT TO:<victim@example.net>');
  rude.end();
  await expect.poll(() => running.upstream.commands.includes('RSET')).toBe(true);
  await session(running);
  expect(running.upstream.accepted.map(({ from, to }) => [from, ...to])).toEqual([
    ['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>'],
  ]);
});

test.each([
  ['of clients that log in', {}, [`AUTH PLAIN ${PLAIN}`]],
  [
    'of one that logs in where it would not have to',
    { assumeLogin: 'a@example.org' },
    [`AUTH PLAIN ${PLAIN}`],
  ],
] as const)('sessions %s have connections of their own', async (what, options, before) => {
  const running = await start(options);
  for (let i = 0; i < 2; i++) await session(running, ...before);
  // Who has an assumed login is not asked for another one.
  const authenticated = running.upstream.commands.some((line) => line.startsWith('AUTH'));
  expect(running.upstream.connections).toBe(authenticated ? 2 : 1);
  if (what === 'of clients that log in') expect(authenticated).toBe(true);
});

test('a mail server that is told whose each connection is has one for each', async () => {
  const { port } = await start({});
  const other = await testGateway(
    {},
    {
      assumeLogin: 'alice@example.org',
      upstream: {
        ...{ host: '127.0.0.1', port: gateway?.upstream.port ?? 0, tls: 'none' },
        tellClientAddress: true,
      },
    },
  );
  for (let i = 0; i < 2; i++) await session(other);
  expect(gateway?.upstream.connections).toBe(2);
  expect(port).not.toBe(other.port);
  await other.close();
});

test('the gateway’s own login is made once, and one that is refused is a temporary refusal', async () => {
  const upstreamLogin = { kind: 'password', name: 'gateway', password: new Secret('pw') } as const;
  const running = await start({ assumeLogin: 'alice@example.org', upstreamLogin });
  for (let i = 0; i < 2; i++) await session(running);
  expect(running.upstream.commands.filter((line) => line.startsWith('AUTH')).length).toBe(1);
  await running.close();
  gateway = await testGateway(
    { script: { AUTH: '535 5.7.8 wrong\r\n' } },
    { assumeLogin: 'alice@example.org', upstreamLogin },
  );
  const client = await TestClient.open(gateway.port);
  expect(await client.ask('EHLO client.test')).toMatch(/^4/);
  client.end();
});
