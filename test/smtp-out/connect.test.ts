import { afterAll, afterEach, expect, test } from 'vitest';
import { isLoopback } from '../../src/connections/loopback.ts';
import { type MailServerOptions, prepareMailServer } from '../../src/connections/mail-server.ts';
import { SealgateError } from '../../src/errors.ts';
import { connectUpstream } from '../../src/smtp-out/connect.ts';
import {
  type FakeOptions,
  type FakeUpstream,
  fakeUpstream,
  KEYWORDS,
} from '../smtp-in/support/fake-upstream.ts';
import { certificateFor } from '../support/certificate.ts';

const named = certificateFor('localhost');
const numbered = certificateFor('127.0.0.1');
const stranger = certificateFor('mail.example.org');
afterAll(() => {
  for (const material of [named, numbered, stranger]) material.remove();
});
let fake: FakeUpstream | null = null;
afterEach(async () => {
  await fake?.close();
  fake = null;
});

const STARTTLS = [...KEYWORDS, 'STARTTLS'];

async function outcome(server: FakeOptions, options: Partial<MailServerOptions>): Promise<string> {
  fake = await fakeUpstream(server);
  const target = await prepareMailServer({ host: '127.0.0.1', port: fake.port, tls: 'starttls', ...options });
  try {
    const client = await connectUpstream(target, 'gateway.test');
    client.quit();
    return 'connected';
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    expect(error.duration === 'temporary' || error.code === 'upstream.refused').toBe(true);
    return error.code;
  }
}

test.each([
  [
    'STARTTLS, name matches',
    { tls: named, keywords: STARTTLS },
    { serverName: 'localhost', caFile: named.file },
    'connected',
  ],
  [
    'STARTTLS, address matches',
    { tls: numbered, keywords: STARTTLS },
    { caFile: numbered.file },
    'connected',
  ],
  [
    'STARTTLS, another name',
    { tls: stranger, keywords: STARTTLS },
    { serverName: 'localhost', caFile: stranger.file },
    'upstream.tls',
  ],
  [
    'STARTTLS, another authority',
    { tls: named, keywords: STARTTLS },
    { serverName: 'localhost', caFile: stranger.file },
    'upstream.tls',
  ],
  [
    'STARTTLS, the system’s authorities',
    { tls: named, keywords: STARTTLS },
    { serverName: 'localhost' },
    'upstream.tls',
  ],
  [
    'implicit, name matches',
    { tls: named, implicit: true },
    { tls: 'implicit', serverName: 'localhost', caFile: named.file },
    'connected',
  ],
  [
    'implicit, address matches',
    { tls: numbered, implicit: true },
    { tls: 'implicit', caFile: numbered.file },
    'connected',
  ],
  [
    'implicit, another name',
    { tls: named, implicit: true },
    { tls: 'implicit', serverName: 'mail.example.org', caFile: named.file },
    'upstream.tls',
  ],
  ['implicit, no TLS there', {}, { tls: 'implicit', caFile: named.file }, 'upstream.tls'],
  ['STARTTLS is stripped on the way', { keywords: KEYWORDS }, { caFile: named.file }, 'upstream.tls'],
  [
    'STARTTLS is refused',
    { keywords: STARTTLS, script: { STARTTLS: '454 4.7.0 no\r\n' } },
    { caFile: named.file },
    'upstream.refused',
  ],
  [
    'response injection behind the 220',
    { keywords: STARTTLS, tls: named, script: { STARTTLS: '220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n' } },
    { serverName: 'localhost', caFile: named.file },
    'upstream.tls',
  ],
  ['none, on this machine', {}, { tls: 'none' }, 'connected'],
] as const)('%s: %s', async (_what, server, options, expected) => {
  expect(await outcome(server as FakeOptions, options)).toBe(expected);
  // No credentials, no mail, and behind a failure not even an EHLO inside.
  expect(
    fake?.commands
      .filter((line) => !/^(EHLO|STARTTLS|QUIT)/.test(line))
      .filter((line) => /AUTH|MAIL/.test(line)),
  ).toEqual([]);
});

test('RFC 3207 §4.2: what was offered before the handshake is forgotten', async () => {
  let ehlos = 0;
  fake = await fakeUpstream({
    tls: named,
    keywords: STARTTLS,
    script: {
      EHLO: () =>
        ++ehlos === 1 ? '250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n' : '250-x\r\n250 SIZE 100\r\n',
    },
  });
  const target = await prepareMailServer({
    host: '127.0.0.1',
    port: fake.port,
    tls: 'starttls',
    serverName: 'localhost',
    caFile: named.file,
  });
  const client = await connectUpstream(target, 'gateway.test');
  expect([...client.extensions]).toEqual([['SIZE', ['100']]]);
  client.quit();
});

test('a server that is not there is unreachable, and its name is not for strangers', async () => {
  // Nobody listens there, and nobody is given it meanwhile.
  const port = 1;
  for (const tls of ['none', 'implicit', 'starttls'] as const) {
    const target = await prepareMailServer({ host: '127.0.0.1', port, tls });
    const error = await connectUpstream(target, 'gateway.test').catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'upstream.unreachable', duration: 'temporary' });
    expect((error as SealgateError).publicText).not.toContain('127.0.0.1');
    expect((error as SealgateError).reason).toContain(`127.0.0.1:${port}`);
  }
});

test('a file that holds no authority is refused', async () => {
  for (const caFile of ['/nowhere/ca.pem', import.meta.filename]) {
    await expect(prepareMailServer({ host: 'x', port: 1, tls: 'implicit', caFile })).rejects.toMatchObject({
      code: 'upstream.ca-file',
      duration: 'permanent',
    });
  }
});

test.each([
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['::FFFF:127.0.0.1', true],
  ['192.0.2.1', false],
  ['::ffff:192.0.2.1', false],
  ['127.0.0.1.example.org', false],
  ['::', false],
  ['', false],
])('%s is this machine: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});
