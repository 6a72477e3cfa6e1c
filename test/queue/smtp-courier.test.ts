import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, expect, test } from 'vitest';
import { type MailServerOptions, prepareMailServer } from '../../src/connections/mail-server.ts';
import { newMailId } from '../../src/ids.ts';
import { Secret } from '../../src/log/secret.ts';
import type { MailToDeliver } from '../../src/queue/ports.ts';
import { SmtpCourier } from '../../src/queue/smtp-courier.ts';
import type { Parameter } from '../../src/smtp/envelope.ts';
import {
  type FakeOptions,
  type FakeUpstream,
  fakeUpstream,
  KEYWORDS,
} from '../smtp-in/support/fake-upstream.ts';
import { certificateFor } from '../support/certificate.ts';
import { mailbox } from './support/queue.ts';

const tls = certificateFor('localhost', '127.0.0.1');
afterAll(() => tls.remove());
let now = new Date('2026-03-01T12:00:00Z');
let ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

type Login = { name: string; password: string };

async function start(
  options: FakeOptions = {},
  { login = null, ...more }: { login?: Login | null } & Partial<MailServerOptions> = {},
): Promise<{ courier: SmtpCourier; fake: FakeUpstream }> {
  const fake = await fakeUpstream(options);
  const server = await prepareMailServer({ host: '127.0.0.1', port: fake.port, tls: 'none', ...more });
  const courier = new SmtpCourier({
    ...{ server, hostname: 'gateway.test', clock: () => now },
    login:
      login === null ? null : { kind: 'password', name: login.name, password: new Secret(login.password) },
  });
  ends.push(
    () => fake.close(),
    () => courier.close(),
  );
  return { courier, fake };
}

type Changes = { to?: readonly string[]; recipient?: Parameter[]; mail?: Parameter[] } & Partial<
  Pick<MailToDeliver, 'octets' | 'requireTls'>
>;
function mail({ to = ['bob@x.test'], recipient = [], mail: mailParameters = [], ...changes }: Changes = {}) {
  return {
    ...{ id: newMailId(), purpose: 'released' as const, way: { kind: 'smtp' as const } },
    requireTls: 'no' as const,
    octets: Buffer.from('Subject: a\r\n\r\n.text\r\n'),
    envelope: {
      ...{ reversePath: mailbox('alice@x.test'), mailParameters },
      recipients: to.map((address) => ({ mailbox: mailbox(address), parameters: recipient })),
    },
    ...changes,
  };
}
const kinds = async (delivered: ReturnType<SmtpCourier['deliver']>) =>
  (await delivered).map(({ kind, reply }) => `${kind} ${reply?.code ?? '-'}`);
const because = async (delivered: ReturnType<SmtpCourier['deliver']>) => {
  const [first] = await delivered;
  return first === undefined || first.kind === 'delivered' ? '' : `${first.kind}: ${first.because}`;
};
const withTls = { tls: 'starttls', caFile: tls.file, serverName: 'localhost' } as const;
const WITH_STARTTLS = { keywords: [...KEYWORDS, 'STARTTLS'], tls };

test('several mails go by one connection, each in a transaction of its own', async () => {
  const { courier, fake } = await start();
  for (const to of ['bob@x.test', 'carol@x.test'])
    expect(await kinds(courier.deliver(mail({ to: [to] })))).toEqual(['delivered 250']);
  expect(fake.connections).toBe(1);
  expect(fake.commands).toEqual([
    ...['EHLO gateway.test', 'MAIL FROM:<alice@x.test> SIZE=21', 'RCPT TO:<bob@x.test>', 'DATA'],
    ...['RSET', 'MAIL FROM:<alice@x.test> SIZE=21', 'RCPT TO:<carol@x.test>', 'DATA'],
  ]);
  expect(fake.accepted[0]?.octets.toString()).toBe('Subject: a\r\n\r\n.text\r\n');
});

test('RFC 9422: no more mails go by one connection than the server takes on it', async () => {
  const { courier, fake } = await start({ keywords: [...KEYWORDS, 'LIMITS MAILMAX=2'] });
  for (let i = 0; i < 5; i++) expect(await kinds(courier.deliver(mail()))).toEqual(['delivered 250']);
  expect(fake.connections).toBe(3);
});

test('each recipient has an outcome of her own', async () => {
  const { courier, fake } = await start({
    script: { 'RCPT TO:<GONE': '550 5.1.1 no\r\n', 'RCPT TO:<FULL': '452 4.2.2 full\r\n' },
  });
  const to = ['bob@x.test', 'gone@x.test', 'full@x.test'];
  expect(await kinds(courier.deliver(mail({ to })))).toEqual(['delivered 250', 'failed 550', 'later 452']);
  expect(fake.accepted.map(({ to: taken }) => taken)).toEqual([['RCPT TO:<bob@x.test>']]);
});

test.each([
  ['MAIL for good', { MAIL: '550 5.7.1 no\r\n' }, ['failed 550', 'failed 550']],
  ['MAIL for want of a login', { MAIL: '530 5.7.0 log in\r\n' }, ['later 530', 'later 530']],
  ['MAIL for now', { MAIL: '451 4.3.0 later\r\n' }, ['later 451', 'later 451']],
  ['every recipient', { RCPT: '550 5.1.1 no\r\n' }, ['failed 550', 'failed 550']],
  ['DATA', { DATA: '554 5.5.1 no\r\n' }, ['failed 554', 'failed 554']],
  ['the message', { END: '554 5.6.0 no\r\n' }, ['failed 554', 'failed 554']],
  ['the message for now', { END: '452 4.3.1 full\r\n' }, ['later 452', 'later 452']],
  ['nothing, and is gone', { END: { close: true } as const }, ['later -', 'later -']],
] as const)(
  'what the server refuses is what it says: %s; the next mail is not touched by it',
  async (_, script, expected) => {
    let refusing = true;
    const [[verb, act] = ['', '']] = Object.entries(script);
    const good = { MAIL: '250 ok\r\n', RCPT: '250 ok\r\n', DATA: '354 go\r\n', END: '250 ok\r\n' };
    const { courier } = await start({
      script: { [verb]: () => (refusing ? act : good[verb as keyof typeof good]) },
    });
    expect(await kinds(courier.deliver(mail({ to: ['bob@x.test', 'carol@x.test'] })))).toEqual(expected);
    refusing = false;
    expect(await kinds(courier.deliver(mail()))).toEqual(['delivered 250']);
  },
);

test.each(['250 2.0.0 taken\r\n', '334 \r\n'])(
  'a server that never asked for the message has not taken it: %j',
  async (DATA) => {
    const { courier, fake } = await start({ script: { DATA } });
    expect(await kinds(courier.deliver(mail()))).toEqual(['later -']);
    expect(fake.accepted).toEqual([]);
  },
);

test('a clock that is set back keeps nobody from the server', async () => {
  let up = false;
  const { courier } = await start({
    script: { GREETING: () => (up ? '220 upstream.test\r\n' : '554 5.3.2 no service\r\n') },
  });
  const before = now;
  expect(await kinds(courier.deliver(mail()))).toEqual(['later -']);
  up = true;
  now = new Date(now.getTime() - 24 * 3_600_000);
  expect(await kinds(courier.deliver(mail()))).toEqual(['delivered 250']);
  now = before;
});

test('the end does not wait for a login that is not answered', async () => {
  const { courier, fake } = await start({ script: { AUTH: '' } }, { login: { name: 'a', password: 'b' } });
  const delivered = kinds(courier.deliver(mail()));
  await expect.poll(() => fake.commands.some((line) => line.startsWith('AUTH'))).toBe(true);
  await courier.close();
  expect(await delivered).toEqual(['later -']);
});

test('the end does not wait for a server that does not greet', async () => {
  const { courier, fake } = await start({ script: { GREETING: '' } });
  const delivered = kinds(courier.deliver(mail()));
  await expect.poll(() => fake.connections).toBe(1);
  await courier.close();
  expect(await delivered).toEqual(['later -']);
});

test('a server that has had enough of a connection gets the mail by a new one', async () => {
  let fakeMails = 0;
  const { courier, fake } = await start({
    script: {
      MAIL: (_, connection) => (connection === 1 && fakeMails++ > 0 ? '421 4.7.0 enough\r\n' : '250 ok\r\n'),
    },
  });
  expect(await kinds(courier.deliver(mail()))).toEqual(['delivered 250']);
  expect(await kinds(courier.deliver(mail()))).toEqual(['delivered 250']);
  expect(fake.connections).toBe(2);
});

test('a connection that ended while nobody used it costs no attempt', async () => {
  const { courier, fake } = await start();
  await courier.deliver(mail());
  for (const socket of fake.open) socket.destroy();
  expect(await kinds(courier.deliver(mail()))).toEqual(['delivered 250']);
  expect(fake.connections).toBe(2);
});

test('a server that is not there is called again after a while, and not for each mail', async () => {
  const { courier, fake } = await start({ script: { GREETING: '554 5.3.2 no service\r\n' } });
  expect(await because(courier.deliver(mail()))).toContain('later: the mail server cannot be used');
  expect(await because(courier.deliver(mail()))).toContain('554 5.3.2 no service');
  expect(fake.connections).toBe(1);
  now = new Date(now.getTime() + 6_000);
  await courier.deliver(mail());
  expect(fake.connections).toBe(2);
});

test('a login is made where one is configured, and one that is refused is no failure of the mail', async () => {
  const login = { name: 'sealgate', password: 'sésame' };
  const good = await start({}, { login: { ...login, password: Buffer.from('sésame').toString('latin1') } });
  expect(await kinds(good.courier.deliver(mail()))).toEqual(['delivered 250']);
  expect(good.fake.commands[1]).toBe(`AUTH PLAIN ${Buffer.from('\0sealgate\0sésame').toString('base64')}`);
  const bad = await start({ script: { AUTH: '535 5.7.8 wrong\r\n' } }, { login });
  expect(await because(bad.courier.deliver(mail()))).toBe(
    "later: the mail server refused the gateway's login: 535 5.7.8 wrong",
  );
  const none = await start({ keywords: [] }, { login });
  expect(await because(none.courier.deliver(mail()))).toContain('offers no login by password');
  expect(bad.fake.accepted.concat(none.fake.accepted)).toEqual([]);
});

test('the server is told what it can do, and nothing else', async () => {
  const parameters: Changes = {
    mail: [
      { keyword: 'RET', value: 'HDRS' },
      { keyword: 'ENVID', value: 'Q1' },
      { keyword: 'BODY', value: '8BITMIME' },
      { keyword: 'SIZE', value: '99' },
      { keyword: 'AUTH', value: '<>' },
    ],
    recipient: [{ keyword: 'NOTIFY', value: 'SUCCESS' }],
  };
  const able = await start();
  const [told] = await able.courier.deliver(mail(parameters));
  expect(told).not.toHaveProperty('unconfirmed');
  expect(able.fake.commands.slice(1, 3)).toEqual([
    'MAIL FROM:<alice@x.test> SIZE=21 RET=HDRS ENVID=Q1',
    'RCPT TO:<bob@x.test> NOTIFY=SUCCESS',
  ]);
  // What was opened must not come back whole to whoever sent it.
  const opened = {
    ...mail({ ...parameters, mail: [{ keyword: 'RET', value: 'FULL' }] }),
    purpose: 'opened' as const,
  };
  await able.courier.deliver(opened);
  expect(able.fake.commands).toContain('MAIL FROM:<alice@x.test> SIZE=21 RET=HDRS');
  const plain = await start({ keywords: [] });
  const [untold] = await plain.courier.deliver(mail(parameters));
  expect(untold).toMatchObject({ kind: 'delivered', unconfirmed: true });
  expect(plain.fake.commands.slice(1, 3)).toEqual(['MAIL FROM:<alice@x.test>', 'RCPT TO:<bob@x.test>']);
});

test.each([
  ['octets beyond ASCII', { octets: Buffer.from('Subject: a\r\n\r\nü\r\n') }, 'octets beyond ASCII', '5.6.3'],
  ['an address beyond ASCII', { to: ['jürgen@x.test'] }, 'SMTPUTF8', '5.6.7'],
  ['too many octets', { octets: Buffer.alloc(200, 'a') }, 'the mail server takes 100', '5.3.4'],
] as const)('what the server cannot take has failed: %s', async (_, changes, reason, status) => {
  const { courier, fake } = await start({ keywords: ['SIZE 100'] });
  const outcomes = courier.deliver(mail(changes));
  expect(await because(outcomes)).toMatch(new RegExp(`^failed: .*${reason}`));
  expect((await outcomes)[0]).toMatchObject({ status });
  expect(fake.commands).toEqual(['EHLO gateway.test']);
});

test('what may leave by TLS only does not leave without', async () => {
  const { courier, fake } = await start();
  expect(await because(courier.deliver(mail({ requireTls: 'upstream' })))).toMatch(/^later: .*TLS/);
  expect(await because(courier.deliver(mail({ requireTls: 'onward' })))).toMatch(/^later: .*TLS/);
  expect(fake.accepted).toEqual([]);
});

test('TLS to the server is enough for `upstream`, its promise is needed for `onward`, and is asked for where it is there', async () => {
  const without = await start(WITH_STARTTLS, withTls);
  expect(await kinds(without.courier.deliver(mail({ requireTls: 'upstream' })))).toEqual(['delivered 250']);
  expect(await because(without.courier.deliver(mail({ requireTls: 'onward' })))).toMatch(
    /^failed: .*REQUIRETLS/,
  );
  const report = { ...mail({ requireTls: 'onward' }), purpose: 'report' as const };
  expect(await kinds(without.courier.deliver(report))).toEqual(['delivered 250']);
  const promising = await start({ ...WITH_STARTTLS, keywords: ['STARTTLS', 'REQUIRETLS'] }, withTls);
  expect(await kinds(promising.courier.deliver(mail({ requireTls: 'onward' })))).toEqual(['delivered 250']);
  expect(promising.fake.accepted[0]?.from).toBe('MAIL FROM:<alice@x.test> REQUIRETLS');
  const { courier: plaintext } = await start();
  expect(await because(plaintext.deliver(report))).toMatch(/^later: .*TLS/);
});

test('a server that has no TLS, or another name, gets nothing', async () => {
  for (const [options, more] of [
    [{}, withTls],
    [WITH_STARTTLS, { ...withTls, serverName: 'other.test' }],
  ] as const) {
    const { courier, fake } = await start(options, { ...more, login: { name: 'a', password: 'b' } });
    expect(await because(courier.deliver(mail()))).toMatch(/^later: the mail server cannot be used/);
    expect(fake.commands.some((line) => /^(AUTH|MAIL)/.test(line))).toBe(false);
  }
});

test('a message that no server could read as one is not sent', async () => {
  const { courier, fake } = await start();
  const smuggled = Buffer.from('Subject: a\r\n\r\n\n.\nMAIL FROM:<eve@x.test>\r\n');
  expect(await kinds(courier.deliver(mail({ octets: smuggled })))).toEqual(['failed -']);
  expect(fake.accepted).toEqual([]);
});

test('a courier that is closed waits for what is under way, and takes nothing more', async () => {
  const { courier, fake } = await start({ script: { END: '' } });
  const delivered = kinds(courier.deliver(mail()));
  await expect.poll(() => fake.commands.includes('DATA')).toBe(true);
  const closed = courier.close();
  for (const socket of fake.open) socket.destroy();
  await closed;
  expect(await delivered).toEqual(['later -']);
  expect(await because(courier.deliver(mail()))).toContain('being stopped');
});

test.each(['', 'EHLO'])(
  'one that is closed while a server owes its answer to %j is gone from there',
  async (owed) => {
    const heard = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('close', () => gone.resolve());
      if (owed === '') heard.resolve();
      else socket.write('220 here\r\n');
      socket.on('data', (said) => {
        if (said.toString().startsWith(owed)) heard.resolve();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(async () => void server.close());
    const { port } = server.address() as AddressInfo;
    const courier = new SmtpCourier({
      server: await prepareMailServer({ host: '127.0.0.1', port, tls: 'none' }),
      ...{ hostname: 'gateway.test', clock: () => now, login: null },
    });
    const delivered = because(courier.deliver(mail()));
    await heard.promise;
    await courier.close();
    expect(await delivered).toBe('later: the gateway is being stopped');
    await gone.promise;
  },
);
