import { afterAll, afterEach, expect, test } from 'vitest';
import { type MailServerOptions, prepareMailServer } from '../../src/connections/mail-server.ts';
import { Secret } from '../../src/log/secret.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { Upstream } from '../../src/smtp-out/client.ts';
import type { GatewayLogin } from '../../src/smtp-out/gateway-login.ts';
import type { IdleConnectionsOptions } from '../../src/smtp-out/idle-connections.ts';
import { UpstreamPool } from '../../src/smtp-out/pool.ts';
import {
  type FakeOptions,
  type FakeUpstream,
  fakeUpstream,
  KEYWORDS,
} from '../smtp-in/support/fake-upstream.ts';
import { certificateFor } from '../support/certificate.ts';

const tls = certificateFor('localhost', '127.0.0.1');
afterAll(() => tls.remove());
let ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

type More = { login?: GatewayLogin; server?: Partial<MailServerOptions> } & IdleConnectionsOptions;

async function start(options: FakeOptions = {}, { login, server, ...idle }: More = {}) {
  const fake = await fakeUpstream(options);
  const pool = new UpstreamPool({
    server: await prepareMailServer({ host: '127.0.0.1', port: fake.port, tls: 'none', ...server }),
    ...{ hostname: 'gateway.test', login: login ?? null, ...idle },
  });
  ends.push(
    () => fake.close(),
    () => pool.close(),
  );
  return { fake, pool };
}

const MAIL = bufferSource(Buffer.from('Subject: a\r\n\r\ntext\r\n'));
async function send(upstream: Upstream): Promise<number> {
  await Promise.all([upstream.command('MAIL FROM:<a@x.test>'), upstream.command('RCPT TO:<b@x.test>')]);
  const answer = await upstream.data(MAIL);
  return answer.kind === 'reply' ? answer.reply.code : 0;
}
const heard = (fake: FakeUpstream, verb: string) =>
  fake.commands.filter((line) => line.startsWith(verb)).length;

test('sessions one after the other have one connection, each as if it were new', async () => {
  const { fake, pool } = await start();
  for (let i = 0; i < 3; i++) {
    const upstream = await pool.take();
    expect(upstream.extensions.has('PIPELINING')).toBe(true);
    expect(await send(upstream)).toBe(250);
    upstream.quit();
  }
  expect(fake.connections).toBe(1);
  expect(fake.commands.map((line) => line.split(' ')[0])).toEqual([
    ...['EHLO', 'MAIL', 'RCPT', 'DATA', 'RSET', 'MAIL', 'RCPT', 'DATA', 'RSET', 'MAIL', 'RCPT', 'DATA'],
  ]);
});

test('RFC 9422: a server that takes only so many mails on a connection has a new one for each session', async () => {
  const { fake, pool } = await start({ keywords: [...KEYWORDS, 'LIMITS MAILMAX=10'] });
  for (let i = 0; i < 3; i++) {
    const upstream = await pool.take();
    await upstream.command('MAIL FROM:<a@x.test>');
    upstream.quit();
  }
  expect(fake.connections).toBe(3);
});

test('sessions at the same time have one each', async () => {
  const { fake, pool } = await start();
  const both = await Promise.all([pool.take(), pool.take()]);
  expect(fake.connections).toBe(2);
  expect(await Promise.all(both.map(send))).toEqual([250, 250]);
});

test('a transaction that a session leaves open is gone before the next one', async () => {
  const { fake, pool } = await start();
  const first = await pool.take();
  await first.command('MAIL FROM:<eve@x.test>');
  await first.command('RCPT TO:<victim@x.test>');
  first.quit();
  await expect.poll(() => heard(fake, 'RSET')).toBe(1);
  await expect
    .poll(async () => {
      const next = await pool.take();
      const code = await send(next);
      next.quit();
      return code;
    })
    .toBe(250);
  expect(fake.accepted.flatMap(({ to }) => to)).not.toContain('RCPT TO:<victim@x.test>');
});

test('whoever gave a connection back does not reach it any more', async () => {
  const { fake, pool } = await start();
  const first = await pool.take();
  first.quit();
  const second = await pool.take();
  const before = fake.commands.length;
  expect(await first.command('MAIL FROM:<eve@x.test>')).toMatchObject({ kind: 'lost' });
  expect(await first.data(MAIL)).toMatchObject({ kind: 'lost', unsent: true });
  expect(await first.dataForEach(MAIL, 2)).toMatchObject([{ kind: 'lost' }, { kind: 'lost' }]);
  const secret = Buffer.from('secret\r\n');
  expect(await first.secret(secret)).toMatchObject({ kind: 'lost' });
  expect(secret.every((octet) => octet === 0)).toBe(true);
  first.quit();
  first.abandon();
  expect(first.lost).not.toBeNull();
  expect(fake.commands.length).toBe(before);
  expect(await send(second)).toBe(250);
});

test('a loss is told to whoever has the connection, and to nobody else', async () => {
  const { fake, pool } = await start();
  const first = await pool.take();
  const told: string[] = [];
  first.whenLost(() => told.push('first'));
  first.quit();
  const second = await pool.take();
  const lost = new Promise<void>((resolve) => second.whenLost(() => resolve()));
  for (const socket of fake.open) socket.destroy();
  await lost;
  expect(told).toEqual([]);
});

test.each([
  [
    'AUTH',
    async (upstream: Upstream) => void (await upstream.secret(Buffer.from('AUTH PLAIN AGEAYg==\r\n'))),
  ],
  ['AUTH by prompts', async (upstream: Upstream) => void (await upstream.command('AUTH LOGIN'))],
  ['XCLIENT', async (upstream: Upstream) => void (await upstream.command('XCLIENT ADDR=192.0.2.1'))],
  ['XFORWARD', async (upstream: Upstream) => void (await upstream.command('XFORWARD ADDR=192.0.2.1'))],
  ['another name', async (upstream: Upstream) => void (await upstream.command('EHLO other.test'))],
])('a connection is not for others after %s', async (_, act) => {
  const { fake, pool } = await start();
  const first = await pool.take();
  await act(first);
  first.quit();
  (await pool.take()).quit();
  expect(fake.connections).toBe(2);
});

test.each([
  ['has a reply still to come', { NOOP: '' }, async (upstream: Upstream) => void upstream.command('NOOP')],
  ['has heard 421', { NOOP: '421 4.3.2 soon\r\n' }, (upstream: Upstream) => upstream.command('NOOP')],
  ['does not reset', { RSET: '500 5.5.1 no\r\n' }, async () => undefined],
])('a connection is not used again that %s', async (_, script, act) => {
  const { fake, pool } = await start({ script });
  const first = await pool.take();
  await act(first);
  first.quit();
  await pool.take();
  expect(fake.connections).toBe(2);
});

test('one that died while it waited is replaced, and nobody notices', async () => {
  const { fake, pool } = await start();
  (await pool.take()).quit();
  for (const socket of fake.open) socket.destroy();
  expect(await send(await pool.take())).toBe(250);
  const silent = await start({ script: { RSET: { close: true } } });
  (await silent.pool.take()).quit();
  expect(await send(await silent.pool.take())).toBe(250);
  expect(silent.fake.connections).toBe(2);
});

test('a connection ends after its mails, after its time, and where enough wait', async () => {
  let now = 0;
  const { fake, pool } = await start({}, { now: () => now, most: 1 });
  for (let i = 0; i < 51; i++) {
    const upstream = await pool.take();
    await send(upstream);
    upstream.quit();
  }
  expect(fake.connections).toBe(2);
  now += 3_600_000;
  (await pool.take()).quit();
  await pool.take();
  expect(fake.connections).toBe(3);
  const many = await start({}, { most: 1 });
  const [first, second] = await Promise.all([many.pool.take(), many.pool.take()]);
  first.quit();
  second.quit();
  await expect.poll(() => heard(many.fake, 'QUIT')).toBe(1);
});

test('one that waits too long is ended', async () => {
  const { fake, pool } = await start({}, { idleMs: 1 });
  (await pool.take()).quit();
  await expect.poll(() => heard(fake, 'QUIT')).toBe(1);
});

test('after the end nothing waits, and what comes back is ended', async () => {
  const { fake, pool } = await start();
  const [first, second] = await Promise.all([pool.take(), pool.take()]);
  first.quit();
  pool.close();
  second.quit();
  await expect.poll(() => heard(fake, 'QUIT')).toBe(2);
});

test('the gateway logs in once for all of them, and a login that is refused is told', async () => {
  const login: GatewayLogin = { kind: 'password', name: 'gateway', password: new Secret('secret') };
  const { fake, pool } = await start({}, { login });
  for (let i = 0; i < 2; i++) (await pool.take()).quit();
  expect(heard(fake, 'AUTH')).toBe(1);
  const bad = await start({ script: { AUTH: '535 5.7.8 wrong\r\n' } }, { login });
  await expect(bad.pool.take()).rejects.toMatchObject({ code: 'upstream.refused', duration: 'temporary' });
});

test('a connection that says whose it is is never for several', async () => {
  for (const server of [{ proxyProtocol: 'v2' }, { tellClientAddress: true }] as const) {
    await expect(start({}, { server })).rejects.toThrow('whose it is');
  }
});

test('by TLS it is the same', async () => {
  const { fake, pool } = await start(
    { keywords: [...KEYWORDS, 'STARTTLS'], tls },
    { server: { tls: 'starttls', caFile: tls.file, serverName: 'localhost' } },
  );
  for (let i = 0; i < 2; i++) {
    const upstream = await pool.take();
    expect(upstream.secure).toBe(true);
    expect(await send(upstream)).toBe(250);
    upstream.quit();
  }
  expect(fake.connections).toBe(1);
});
