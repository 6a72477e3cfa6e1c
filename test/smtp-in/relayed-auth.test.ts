import { afterEach, expect, test } from 'vitest';
import type { RelayedMechanism } from '../../src/sasl/relayed-identity.ts';
import { TestClient } from './support/client.ts';
import { type Act, KEYWORDS } from './support/fake-upstream.ts';
import { type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');
const FIRST = base64('n,,n=alice@example.org,r=fyko+d2lbbFgONRv9qkxdawL');
const SERVER_FIRST = base64('r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096');
const FINAL = base64('c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=');
const SERVER_FINAL = base64('v=rmF9pqV8S7suAoZWja4dJRkFsKQ=');
const CRAM_CHALLENGE = base64('<1896.697170952@upstream.test>');
const CRAM_ANSWER = base64(`alice@example.org ${'0a'.repeat(16)}`);
const OFFERED = 'AUTH PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS EXTERNAL GSSAPI DIGEST-MD5';

/** The upstream answers the lines of one exchange, one after the other. */
async function greeted(
  permitted: readonly RelayedMechanism[],
  ...answers: readonly Act[]
): Promise<{ client: TestClient; offered: string | null }> {
  const left = [...answers];
  const next = (): Act => left.shift() ?? '500 5.5.1 nothing more is expected\r\n';
  const keywords = [...KEYWORDS.filter((line) => !line.startsWith('AUTH')), OFFERED];
  gateway = await testGateway({ keywords, script: { 'AUTH ': next } }, { relayMechanisms: permitted });
  const client = await TestClient.open(gateway.port);
  return { client, offered: await client.ask('EHLO client.test') };
}

const heard = () => gateway?.upstream.commands.slice(1);
const loggedIn = () => gateway?.events.flatMap((each) => (each.event === 'smtp.authenticated' ? [each] : []));
const challenge = (text: string): string => `334 ${text}\r\n`;
const WELCOME = '235 2.7.0 upstream says welcome\r\n';

test('offered is what is permitted here and offered there; nothing else that hides whose login it is', async () => {
  const { offered } = await greeted(['SCRAM-SHA-256', 'SCRAM-SHA-512', 'CRAM-MD5']);
  expect(offered).toContain('250-AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN\r\n');
});

test('by default none is passed on', async () => {
  const { client, offered } = await greeted([]);
  expect(offered).toContain('250-AUTH PLAIN LOGIN\r\n');
  for (const mechanism of [
    'SCRAM-SHA-1',
    'CRAM-MD5',
    'EXTERNAL',
    'GSSAPI',
    'DIGEST-MD5',
    'SCRAM-SHA-256-PLUS',
  ]) {
    expect(await client.ask(`AUTH ${mechanism}`)).toBe('504 5.5.4 The mechanism is not offered');
  }
  expect(heard()).toEqual([]);
});

test.each([['with an initial response'], ['after an empty challenge']])(
  'SCRAM %s, word for word',
  async (how) => {
    const { client } = await greeted(
      ['SCRAM-SHA-1'],
      challenge(SERVER_FIRST),
      challenge(SERVER_FINAL),
      WELCOME,
    );
    if (how === 'after an empty challenge') expect(await client.ask('AUTH SCRAM-SHA-1')).toBe('334 ');
    const first = how === 'after an empty challenge' ? FIRST : `AUTH scram-sha-1 ${FIRST}`;
    expect(await client.ask(first)).toBe(`334 ${SERVER_FIRST}`);
    expect(await client.ask(FINAL)).toBe(`334 ${SERVER_FINAL}`);
    expect(loggedIn()).toEqual([]);
    expect(await client.ask('')).toBe('235 2.7.0 upstream says welcome');
    expect(heard()).toEqual([`AUTH SCRAM-SHA-1 ${FIRST}`, FINAL, '']);
    expect(loggedIn()).toMatchObject([{ principal: 'alice@example.org', mechanism: 'SCRAM-SHA-1' }]);
    expect(await client.ask('MAIL FROM:<a@example.org>')).toMatch(/^250/);
  },
);

test('CRAM-MD5: the server speaks first', async () => {
  const { client } = await greeted(['CRAM-MD5'], challenge(CRAM_CHALLENGE), WELCOME);
  expect(await client.ask(`AUTH CRAM-MD5 ${CRAM_ANSWER}`)).toMatch(/^501 5\.7\.0/);
  expect(await client.ask('AUTH CRAM-MD5')).toBe(`334 ${CRAM_CHALLENGE}`);
  expect(await client.ask(CRAM_ANSWER)).toMatch(/^235/);
  expect(heard()).toEqual(['AUTH CRAM-MD5', CRAM_ANSWER]);
  expect(loggedIn()).toMatchObject([{ principal: 'alice@example.org' }]);
});

test('a wrong password is the upstream’s to say, and counted', async () => {
  const no = '535 5.7.8 no\r\n';
  const round = [challenge(SERVER_FIRST), no];
  const { client } = await greeted(['SCRAM-SHA-256'], ...Array.from({ length: 5 }, () => round).flat());
  for (let i = 0; i < 5; i++) {
    expect(await client.ask(`AUTH SCRAM-SHA-256 ${FIRST}`)).toBe(`334 ${SERVER_FIRST}`);
    client.send(`${FINAL}\r\n`);
    if (i < 4) expect(await client.reply()).toBe('535 5.7.8 no');
  }
  expect(await client.toEnd()).toEqual(['535 5.7.8 no']);
  expect(loggedIn()).toEqual([]);
});

test.each([
  ['for somebody else', 'n,a=bob@example.org,n=alice@example.org,r=x'],
  ['with channel binding', 'p=tls-server-end-point,,n=alice@example.org,r=x'],
  ['with two names', 'n,,n=alice@example.org,r=x,n=bob@example.org'],
  ['that is none', 'hello'],
])('a first message %s goes no further', async (_, message) => {
  const { client } = await greeted(['SCRAM-SHA-256']);
  expect(await client.ask(`AUTH SCRAM-SHA-256 ${base64(message)}`)).toMatch(/^535 5\.7\.8/);
  expect(heard()).toEqual([]);
});

test('an answer of CRAM-MD5 that names nobody goes no further: the exchange is broken off', async () => {
  const { client } = await greeted(['CRAM-MD5'], challenge(CRAM_CHALLENGE), '501 5.7.0 cancelled\r\n');
  await client.ask('AUTH CRAM-MD5');
  expect(await client.ask(base64('alice'))).toMatch(/^535 5\.7\.8/);
  expect(heard()).toEqual(['AUTH CRAM-MD5', '*']);
  expect(await client.ask('NOOP')).toBe('250 2.0.0 upstream noop');
});

test.each([
  ['*', 'taken back'],
  ['not base64!', 'no Base64'],
  ['QUIT\u00e9', 'no ASCII'],
])('%j, %s: it is broken off upstream too, and what comes next is a command', async (line) => {
  const { client } = await greeted(['SCRAM-SHA-256'], challenge(SERVER_FIRST), '501 5.7.0 cancelled\r\n');
  await client.ask(`AUTH SCRAM-SHA-256 ${FIRST}`);
  expect(await client.ask(line)).toBe('501 5.7.0 cancelled');
  expect(heard()).toEqual([`AUTH SCRAM-SHA-256 ${FIRST}`, '*']);
  expect(await client.ask('NOOP')).toBe('250 2.0.0 upstream noop');
});

test.each<[string, RelayedMechanism, readonly Act[], string]>([
  ['235 before it was told whom', 'CRAM-MD5', [WELCOME], 'AUTH CRAM-MD5'],
  ['another 2xx', 'SCRAM-SHA-256', ['250 2.0.0 sure\r\n'], `AUTH SCRAM-SHA-256 ${FIRST}`],
  ['the end of the connection', 'SCRAM-SHA-256', [{ close: true }], `AUTH SCRAM-SHA-256 ${FIRST}`],
])('an upstream that answers with %s lets nobody in', async (_, mechanism, answers, line) => {
  const { client } = await greeted([mechanism], ...answers);
  client.send(`${line}\r\n`);
  expect((await client.toEnd()).at(-1)).toMatch(/^421 4\.4\.2/);
  expect(loggedIn()).toEqual([]);
});

test('challenges that are no Base64, or never end, are not passed on', async () => {
  const odd = await greeted(['SCRAM-SHA-256'], '334 send your password\r\n', '501 5.7.0 cancelled\r\n');
  expect(await odd.client.ask(`AUTH SCRAM-SHA-256 ${FIRST}`)).toBe('501 5.7.0 cancelled');
  await gateway?.close();
  const endless = Array.from({ length: 5 }, () => challenge(SERVER_FIRST));
  const { client } = await greeted(['SCRAM-SHA-256'], ...endless, '501 5.7.0 cancelled\r\n');
  expect(await client.ask(`AUTH SCRAM-SHA-256 ${FIRST}`)).toMatch(/^334/);
  for (let i = 0; i < 3; i++) expect(await client.ask(FINAL)).toMatch(/^334/);
  expect(await client.ask(FINAL)).toBe('501 5.7.0 cancelled');
  expect(loggedIn()).toEqual([]);
});

test.each([
  ['goes', (client: TestClient) => void client.end()],
  ['is sent away, as the gateway stops', () => void gateway?.listener.close()],
])('a client that %s in the middle of the exchange has said nothing more', async (_, end) => {
  const { client } = await greeted(['SCRAM-SHA-256'], challenge(SERVER_FIRST));
  expect(await client.ask(`AUTH SCRAM-SHA-256 ${FIRST}`)).toMatch(/^334 /);
  end(client);
  await expect.poll(() => gateway?.upstream.open.size).toBe(0);
  expect(heard()).toEqual([`AUTH SCRAM-SHA-256 ${FIRST}`]);
});
