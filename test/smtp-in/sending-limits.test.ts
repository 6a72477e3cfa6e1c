import { afterEach, expect, test } from 'vitest';
import type { SessionId } from '../../src/ids.ts';
import type { Origin } from '../../src/pipeline/ports.ts';
import { Principal } from '../../src/sasl/principal.ts';
import { reply } from '../../src/smtp/reply.ts';
import { type SendingBounds, SendingLimits } from '../../src/smtp-in/sending-limits.ts';
import { SlidingCounts } from '../../src/smtp-in/sliding-counts.ts';
import type { TestClient } from './support/client.ts';
import { loggedIn, QUEUED, type TestGateway, testGateway } from './support/gateway.ts';

const MINUTE = 60_000;
const NONE: SendingBounds = { login: null, address: null, network: null };

function origin(login: string, remote = '192.0.2.1'): Origin {
  return { session: 's' as SessionId, listener: 'test', principal: Principal.named(login), remote };
}

test('counts slide: what is older than the window does not count, to a twelfth of it', () => {
  let now = 0;
  const counts = new SlidingCounts(12 * MINUTE, 10, () => now);
  counts.add('a', 3);
  now = 6 * MINUTE;
  counts.add('a', 2);
  expect(counts.of('a')).toBe(5);
  now = 11.9 * MINUTE;
  expect(counts.of('a')).toBe(5);
  now = 12 * MINUTE;
  expect(counts.of('a')).toBe(2);
  now = 1_000 * MINUTE;
  expect(counts.of('a')).toBe(0);
  expect(counts.of('never heard of')).toBe(0);
});

test('what did not happen after all goes where it was counted: nobody earns more for later by giving up', () => {
  let now = 0;
  const counts = new SlidingCounts(12 * MINUTE, 10, () => now);
  const takeBack = counts.add('a', 3);
  now = 5 * MINUTE;
  takeBack();
  takeBack();
  expect(counts.of('a')).toBe(0);
  counts.add('a', 2);
  now = 13 * MINUTE;
  expect(counts.of('a')).toBe(2);
  // What has slid out of the window, or was forgotten, is not there to be taken back.
  const late = counts.add('b', 4);
  now = 40 * MINUTE;
  counts.add('b', 1);
  late();
  expect(counts.of('b')).toBe(1);
});

test('a login is one login however its letters are written', () => {
  const limits = new SendingLimits(
    { ...NONE, login: { messages: 2, recipients: null, minutes: 60, atOnce: 2 } },
    [],
    () => 0,
  );
  limits.begin(origin('alice@example.org'));
  limits.begin(origin('Alice@example.org'));
  expect(limits.mayBegin(origin('ALICE@example.org'))?.lines[0]).toMatch(/at the same time/);
  limits.count(origin('alice@example.org'), 1);
  limits.count(origin('aLice@example.org'), 1);
  expect(limits.mayHave(origin('alicE@example.org'), 1)?.lines[0]).toMatch(/in 60 minutes/);
});

test('memory is bounded: the one that was quiet for longest is forgotten', () => {
  const counts = new SlidingCounts(MINUTE, 3, () => 0);
  for (const name of ['a', 'b', 'c', 'a', 'd']) counts.add(name, 1);
  expect(['a', 'b', 'c', 'd'].map((name) => counts.of(name))).toEqual([2, 0, 1, 1]);
});

test('a login, an address and a network are each bounded by themselves', () => {
  const bound = (messages: number) => ({ messages, recipients: null, minutes: 60 });
  const limits = new SendingLimits(
    { login: { ...bound(1), atOnce: null }, address: bound(2), network: bound(3) },
    ['10.0.0.0/8'],
    () => 0,
  );
  const send = (login: string, remote: string): string | null => {
    const refusal = limits.mayBegin(origin(login, remote));
    if (refusal === null) limits.count(origin(login, remote), 1);
    return refusal?.lines[0] ?? null;
  };
  expect(send('a', '192.0.2.1')).toBeNull();
  expect(send('a', '192.0.2.9')).toBe(
    '4.7.1 At most 1 messages in 60 minutes are taken from this login; try again later',
  );
  expect(send('b', '192.0.2.1')).toBeNull();
  expect(send('c', '192.0.2.1')).toMatch(/2 messages .* your address/);
  expect(send('c', '192.0.2.2')).toBeNull();
  expect(send('d', '192.0.2.3')).toMatch(/3 messages .* your network/);
  expect(send('d', '192.0.3.3')).toBeNull();
  // Of IPv6 an address is a /64 and a network a /48.
  expect(send('e', '2001:db8:0:1::1')).toBeNull();
  expect(send('f', '2001:db8:0:1::2')).toBeNull();
  expect(send('g', '2001:db8:0:1::3')).toMatch(/your address/);
  expect(send('g', '2001:db8:0:2::1')).toBeNull();
  expect(send('h', '2001:db8:0:3::1')).toMatch(/your network/);
  // A network that is not bounded: its logins are.
  for (let i = 0; i < 10; i++) expect(send(`i${i}`, '10.1.2.3')).toBeNull();
  expect(send('i0', '10.1.2.3')).toMatch(/this login/);
});

let gateway: TestGateway | null = null;
let now = 0;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
  now = 0;
});

async function start(sendingBounds: SendingBounds): Promise<TestClient> {
  gateway = await testGateway({}, { sendingBounds, now: () => now });
  return loggedIn(gateway.port);
}

async function send(client: TestClient, recipients: number, data = 'DATA'): Promise<(string | null)[]> {
  const rcpts = Array.from({ length: recipients }, (_, i) => `RCPT TO:<r${i}@example.net>\r\n`).join('');
  client.send(`MAIL FROM:<a@example.org>\r\n${rcpts}`);
  const said: (string | null)[] = [];
  for (let i = 0; i <= recipients; i++) said.push(await client.reply());
  if (data === 'DATA') {
    const ready = await client.ask('DATA');
    said.push(ready?.startsWith('354') === true ? await client.ask('x\r\n.') : ready);
  } else said.push(await client.ask('BDAT 3 LAST\r\nx'));
  return said;
}

const login = (changes: Partial<NonNullable<SendingBounds['login']>>): SendingBounds => ({
  ...NONE,
  login: { messages: null, recipients: null, minutes: 60, atOnce: null, ...changes },
});

test('one message too many is refused at MAIL for now; later it is taken, in the same session', async () => {
  const client = await start(login({ messages: 2 }));
  for (const how of ['DATA', 'BDAT']) expect((await send(client, 1, how)).at(-1)).toMatch(QUEUED);
  expect(await client.ask('MAIL FROM:<a@example.org>')).toBe(
    '450 4.7.1 At most 2 messages in 60 minutes are taken from this login; try again later',
  );
  expect(gateway?.upstream.commands.filter((line) => line.startsWith('MAIL'))).toHaveLength(2);
  now = 61 * MINUTE;
  expect((await send(client, 1)).at(-1)).toMatch(QUEUED);
  client.end();
});

test('recipients: as many as fit are taken, and the client sends to the rest later', async () => {
  const client = await start(login({ recipients: 3 }));
  const said = await send(client, 5);
  expect(said.slice(0, 4).every((each) => each?.startsWith('250'))).toBe(true);
  expect(said.slice(4, 6)).toEqual(
    Array.from(
      { length: 2 },
      () => '450 4.7.1 At most 3 recipients in 60 minutes are taken from this login; try again later',
    ),
  );
  expect(said[6]).toMatch(QUEUED);
  expect(gateway?.upstream.accepted[0]?.to).toHaveLength(3);
  now = 61 * MINUTE;
  expect((await send(client, 2)).at(-1)).toMatch(QUEUED);
  client.end();
});

test('what was not accepted does not count: refused, broken off, or given up', async () => {
  const client = await start(login({ messages: 1 }));
  const story = gateway?.story;
  if (story === undefined) throw new Error('no gateway');
  const { submit } = story;
  story.submit = async () => ({ kind: 'refused', reply: reply(550, '5.7.1', 'no') });
  expect((await send(client, 1)).at(-1)).toMatch(/^550/);
  story.submit = submit.bind(story);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nBDAT 1\r\nxRSET\r\n');
  for (let i = 0; i < 4; i++) expect(await client.reply()).toMatch(/^250/);
  const other = await loggedIn(gateway?.port ?? 0);
  other.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await other.reply();
  // While a message of the same login is on its way, it counts.
  expect(await client.ask('MAIL FROM:<a@example.org>')).toMatch(/^450 4\.7\.1/);
  other.end();
  while (gateway?.upstream.open.size !== 1) await new Promise((resolve) => setTimeout(resolve, 5));
  expect((await send(client, 1)).at(-1)).toMatch(QUEUED);
  expect(await client.ask('MAIL FROM:<a@example.org>')).toMatch(/^450 4\.7\.1/);
  client.end();
});

test('messages at a time: of all sessions of a login, from MAIL to the last answer', async () => {
  const client = await start(login({ atOnce: 1 }));
  const other = await loggedIn(gateway?.port ?? 0);
  expect(await client.ask('MAIL FROM:<a@example.org>')).toMatch(/^250/);
  expect(await other.ask('MAIL FROM:<a@example.org>')).toBe(
    '450 4.7.1 At most 1 messages of this login are taken at the same time; try again later',
  );
  expect(await client.ask('RSET')).toMatch(/^250/);
  expect((await send(other, 1)).at(-1)).toMatch(QUEUED);
  expect((await send(client, 1)).at(-1)).toMatch(QUEUED);
  client.end();
  other.end();
});

test('a MAIL that the mail server refuses takes no place', async () => {
  gateway = await testGateway(
    { script: { 'MAIL FROM:<NO@': '550 5.7.1 no\r\n' } },
    { sendingBounds: login({ atOnce: 1 }), now: () => now },
  );
  const client = await loggedIn(gateway.port);
  const other = await loggedIn(gateway.port);
  expect(await client.ask('MAIL FROM:<no@example.org>')).toMatch(/^550/);
  expect((await send(other, 1)).at(-1)).toMatch(QUEUED);
  client.end();
  other.end();
});

test('no room where mail would be kept: 452 before the 354, and by BDAT with its octets swallowed', async () => {
  const full = reply(452, '4.3.1', 'The queue is full; try again later');
  const asked: number[] = [];
  gateway = await testGateway(
    {},
    {
      storeAndForward: {
        full: async (octets) => {
          asked.push(octets);
          return full;
        },
        begin: () => {
          throw new Error('nothing is to be kept');
        },
      },
    },
  );
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org> SIZE=4711\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 2; i++) expect(await client.reply()).toMatch(/^250/);
  expect(await client.reply()).toBe('452 4.3.1 The queue is full; try again later');
  client.send(
    'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nBDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\nNOOP\r\n',
  );
  for (let i = 0; i < 2; i++) expect(await client.reply()).toMatch(/^250/);
  expect(await client.reply()).toMatch(/^452/);
  expect(await client.reply()).toMatch(/^452/);
  expect(await client.reply()).toMatch(/^250/);
  expect(asked).toEqual([4711, 0]);
  expect(gateway.story.submissions).toEqual([]);
  client.end();
});
