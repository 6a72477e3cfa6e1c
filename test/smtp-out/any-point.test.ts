import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { prepareMailServer } from '../../src/connections/mail-server.ts';
import { newMailId } from '../../src/ids.ts';
import { Secret } from '../../src/log/secret.ts';
import { SmtpCourier } from '../../src/queue/smtp-courier.ts';
import { mailbox } from '../queue/support/queue.ts';
import { type Act, type FakeUpstream, fakeUpstream } from '../smtp-in/support/fake-upstream.ts';

/** Whatever a server does at any point of a dialogue: no mail counts as delivered, and none fails for good by it. */

let ends: (() => Promise<void>)[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(async () => {
  vi.useRealTimers();
  for (const end of ends.toReversed()) await end();
  ends = [];
});

const POINTS = ['GREETING', 'EHLO', 'AUTH', 'MAIL', 'RCPT', 'DATA', 'END'] as const;
type Point = (typeof POINTS)[number];
const PROTOCOLS = ['smtp', 'lmtp'] as const;
const everyPoint = PROTOCOLS.flatMap((protocol) => POINTS.map((point) => [point, protocol] as const));

async function start(point: Point, act: Act, protocol: 'smtp' | 'lmtp') {
  const reached = Promise.withResolvers<void>();
  const verb = point === 'EHLO' && protocol === 'lmtp' ? 'LHLO' : point;
  const fake: FakeUpstream = await fakeUpstream({
    ...(protocol === 'lmtp' ? { protocol } : {}),
    script: {
      [verb]: () => {
        reached.resolve();
        return act;
      },
    },
  });
  const courier = new SmtpCourier({
    server: await prepareMailServer({ host: '127.0.0.1', port: fake.port, tls: 'none', protocol }),
    ...{ hostname: 'gateway.test', clock: () => new Date() },
    login: { kind: 'password', name: 'gateway', password: new Secret('password') },
  });
  ends.push(
    () => fake.close(),
    () => courier.close(),
  );
  const outcomes = courier.deliver({
    ...{ id: newMailId(), purpose: 'released', way: { kind: 'smtp' }, requireTls: 'no' },
    octets: Buffer.from('Subject: a\r\n\r\ntext\r\n'),
    envelope: {
      ...{ reversePath: mailbox('alice@x.test'), mailParameters: [] },
      recipients: ['bob@x.test', 'carol@x.test'].map((to) => ({ mailbox: mailbox(to), parameters: [] })),
    },
  });
  return { outcomes, reached: reached.promise, fake };
}

const kinds = async (outcomes: Awaited<ReturnType<typeof start>>['outcomes']) =>
  (await outcomes).map(({ kind }) => kind);

test.each(everyPoint)(
  'a server that says nothing more at %s (%s) is left in time',
  async (point, protocol) => {
    const { outcomes, reached } = await start(point, '', protocol);
    await reached;
    const settled = kinds(outcomes);
    // What it has time for (RFC 5321 §4.5.3.2) goes by; how much of it depends on the command.
    let done = false;
    settled.then(() => {
      done = true;
    });
    while (!done) {
      await vi.advanceTimersByTimeAsync(60_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await settled).toEqual(['later', 'later']);
  },
);

test.each(
  everyPoint.flatMap(([point, protocol]) =>
    [
      ['421', { say: '421 4.3.2 going down\r\n', thenClose: true }],
      ['the end', { close: true }],
      ['half a line', { say: '250 2.0', thenClose: true }],
      ['half a reply', { say: '250-2.0.0 more\r\n', thenClose: true }],
      ['a line without an end', `250 ${'x'.repeat(5_000)}\r\n`],
      ['a reply without an end', '250-x\r\n'.repeat(200)],
      ['lines that differ', '250-ok\r\n550 no\r\n'],
      ['a bare line end', '250 ok\n'],
      ['something else', 'HTTP/1.1 200 OK\r\n\r\n'],
    ].map(([what, act]) => [what, point, protocol, act] as [string, Point, 'smtp' | 'lmtp', Act]),
  ),
)('%s at %s (%s)', async (_what, point, protocol, act) => {
  const { outcomes } = await start(point, act, protocol);
  expect(await kinds(outcomes)).toEqual(['later', 'later']);
});
