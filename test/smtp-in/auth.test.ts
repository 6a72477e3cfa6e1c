import { afterEach, expect, test } from 'vitest';
import { PLAIN, TestClient } from './support/client.ts';
import { KEYWORDS } from './support/fake-upstream.ts';
import { loggedIn, type TestGateway, testGateway } from './support/gateway.ts';

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

const base64 = (text: string) => Buffer.from(text).toString('base64');
const USER = base64('alice@example.org');
const PASSWORD = base64('opensesame');
const XOAUTH2 = base64('user=alice@example.org\x01auth=Bearer t0ken\x01\x01');
const BEARER = base64('n,a=alice@example.org,\x01host=h\x01auth=Bearer t0ken\x01\x01');
const offering = (mechanisms: string) => ({
  keywords: [...KEYWORDS.filter((line) => !line.startsWith('AUTH')), `AUTH ${mechanisms}`],
});

async function greeted(changes: Parameters<typeof testGateway>[0] = {}): Promise<TestClient> {
  gateway = await testGateway(changes);
  const client = await TestClient.open(gateway.port);
  await client.ask('EHLO client.test');
  return client;
}

const commands = () => gateway?.upstream.commands.slice(1);

test.each([
  ['PLAIN', [`AUTH PLAIN ${PLAIN}`], [`AUTH PLAIN ${PLAIN}`]],
  ['PLAIN', ['AUTH PLAIN', PLAIN], [`AUTH PLAIN ${PLAIN}`]],
  ['LOGIN', ['AUTH LOGIN', USER, PASSWORD], ['AUTH LOGIN', USER, PASSWORD]],
  ['LOGIN', [`AUTH LOGIN ${USER}`, PASSWORD], ['AUTH LOGIN', USER, PASSWORD]],
  ['LOGIN', [`AUTH PLAIN ${PLAIN}`], ['AUTH LOGIN', USER, PASSWORD]],
  ['PLAIN', ['auth login', USER, PASSWORD], [`AUTH PLAIN ${PLAIN}`]],
  ['XOAUTH2', [`AUTH XOAUTH2 ${XOAUTH2}`], [`AUTH XOAUTH2 ${XOAUTH2}`]],
  ['XOAUTH2', ['AUTH XOAUTH2', XOAUTH2], [`AUTH XOAUTH2 ${XOAUTH2}`]],
  ['OAUTHBEARER', ['AUTH OAUTHBEARER', BEARER], [`AUTH OAUTHBEARER ${BEARER}`]],
])('an upstream with %s: %j arrives as %j', async (mechanisms, lines, expected) => {
  const client = await greeted(offering(mechanisms));
  let last: string | null = null;
  for (const line of lines) last = await client.ask(line);
  expect(last).toBe('235 2.7.0 upstream says welcome');
  expect(commands()).toEqual(expected);
  expect(gateway?.events).toContainEqual(
    expect.objectContaining({ event: 'smtp.authenticated', principal: 'alice@example.org' }),
  );
  expect(JSON.stringify(gateway?.events)).not.toMatch(/opensesame|t0ken/);
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toBe('503 5.5.1 The session is already authenticated');
  expect(await client.ask('EHLO again')).not.toContain('AUTH');
  client.end();
});

test('the prompts of LOGIN are what clients look for', async () => {
  const client = await greeted();
  expect(await client.ask('AUTH LOGIN')).toBe(`334 ${base64('Username:')}`);
  expect(await client.ask(USER)).toBe(`334 ${base64('Password:')}`);
  client.end();
});

test('the challenge for PLAIN is empty, with its blank', async () => {
  const client = await greeted();
  expect(await client.ask('AUTH PLAIN')).toBe('334 ');
  client.end();
});

test.each([
  '535 5.7.8 Error: authentication failed: wrong\r\n',
  '535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 https://example.org/help\r\n',
  '454 4.7.0 later\r\n',
  '534 5.7.9 Application-specific password required\r\n',
])('the verdict is the upstream’s, unchanged: %j', async (verdict) => {
  const client = await greeted({ script: { AUTH: verdict } });
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toBe(verdict.slice(0, -2));
  expect(await client.ask('MAIL FROM:<a@example.org>')).toBe('530 5.7.0 Authentication required');
  client.end();
});

test('the error challenge of XOAUTH2 reaches the client, and its empty answer the upstream', async () => {
  const client = await greeted({
    script: {
      'AUTH XOAUTH2': '334 eyJzdGF0dXMiOiI0MDEifQ==\r\n',
      'AUTH VERDICT': '535 5.7.8 token expired\r\n',
    },
  });
  expect(await client.ask(`AUTH XOAUTH2 ${XOAUTH2}`)).toBe('334 eyJzdGF0dXMiOiI0MDEifQ==');
  expect(await client.ask('')).toBe('535 5.7.8 token expired');
  expect(commands()).toEqual([`AUTH XOAUTH2 ${XOAUTH2}`, '']);
  client.end();
});

test('an answer to the error challenge that could be other credentials is not passed on', async () => {
  const client = await greeted({
    script: { 'AUTH XOAUTH2': '334 e30=\r\n', 'AUTH VERDICT': '501 5.7.0 cancelled\r\n' },
  });
  await client.ask(`AUTH XOAUTH2 ${XOAUTH2}`);
  expect(await client.ask(base64('user=bob\x01auth=Bearer x\x01\x01'))).toBe('501 5.7.0 cancelled');
  expect(commands()?.at(-1)).toBe('*');
  client.end();
});

test('a client can cancel, and the upstream never hears of it', async () => {
  const client = await greeted();
  for (const lines of [
    ['AUTH PLAIN', '*'],
    ['AUTH LOGIN', '*'],
    ['AUTH LOGIN', USER, '*'],
  ]) {
    let last: string | null = null;
    for (const line of lines) last = await client.ask(line);
    expect(last).toBe('501 5.7.0 The authentication was cancelled');
  }
  expect(commands()).toEqual([]);
  client.end();
});

test.each([
  ['AUTH PLAIN !!!', '501 5.5.2'],
  ['AUTH PLAIN =', '535 5.7.8'],
  [`AUTH PLAIN ${base64('bob\0alice@example.org\0x')}`, '535 5.7.8'],
  [`AUTH PLAIN ${base64('\0alice\0x\0y')}`, '535 5.7.8'],
  ['AUTH CRAM-MD5', '504 5.5.4'],
  ['AUTH GSSAPI', '504 5.5.4'],
  ['AUTH', '501 5.5.4'],
])('%s is refused here with %s', async (line, reply) => {
  const client = await greeted();
  expect(await client.ask(line)).toContain(reply);
  expect(commands()).toEqual([]);
  client.end();
});

test('AUTH before EHLO, or after HELO, is out of order', async () => {
  gateway = await testGateway();
  const client = await TestClient.open(gateway.port);
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toMatch(/^503/);
  await client.ask('HELO client.test');
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toMatch(/^503/);
  expect(await client.ask('MAIL FROM:<a@example.org>')).toMatch(/^530/);
  client.end();
});

test('an endless answer is not buffered', async () => {
  const client = await greeted();
  expect(await client.ask('AUTH PLAIN')).toBe('334 ');
  expect(await client.ask('A'.repeat(70_000))).toBe('500 5.5.6 The authentication line is too long');
  expect(await client.ask('NOOP')).toMatch(/^250/);
  client.end();
});

test('a long token is sent after its 334, because the command line of the upstream may be short', async () => {
  const token = base64(`user=a@example.org\x01auth=Bearer ${'t'.repeat(3_000)}\x01\x01`);
  const client = await greeted({
    script: { 'AUTH XOAUTH2': '334 \r\n', 'AUTH VERDICT': '235 2.7.0 in\r\n' },
  });
  expect(await client.ask(`AUTH XOAUTH2 ${token}`)).toBe('235 2.7.0 in');
  expect(commands()).toEqual(['AUTH XOAUTH2', token]);
  client.end();
});

test('guessing ends the session, whoever refuses', async () => {
  const client = await greeted({ script: { AUTH: '535 5.7.8 no\r\n' } });
  for (let i = 0; i < 4; i++) expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toBe('535 5.7.8 no');
  client.send(`AUTH PLAIN ${PLAIN}\r\nAUTH PLAIN ${PLAIN}\r\n`);
  expect(await client.toEnd()).toEqual(['535 5.7.8 no']);
  expect(commands()?.filter((line) => line.startsWith('AUTH')).length).toBe(5);
});

test('an upstream that says 250 to AUTH has not logged anybody in', async () => {
  const client = await greeted({ script: { AUTH: '250 2.0.0 sure\r\n' } });
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toMatch(/^421 4\.4\.2/);
  expect(gateway?.events.map((event) => event.event)).not.toContain('smtp.authenticated');
  expect(lostUpstreams()).toEqual([expect.stringMatching(/not a verdict/)]);
});

test('an upstream that is lost in AUTH: 421, and no login', async () => {
  const client = await greeted({ script: { AUTH: { close: true } } });
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toMatch(/^421 4\.4\.2/);
  expect(await client.toEnd()).toEqual([]);
  expect(lostUpstreams()).toEqual(['it closed the connection']);
});

test('one client’s login is no other client’s', async () => {
  gateway = await testGateway();
  const first = await loggedIn(gateway.port);
  const second = await TestClient.open(gateway.port);
  await second.ask('EHLO other.test');
  expect(await second.ask('MAIL FROM:<a@example.org>')).toMatch(/^530/);
  expect(gateway.upstream.connections).toBe(2);
  first.end();
  second.end();
});

test('commands that follow AUTH in one segment are judged after the verdict', async () => {
  const client = await greeted({ script: { AUTH: '535 5.7.8 no\r\n' } });
  client.send(`AUTH PLAIN ${PLAIN}\r\nMAIL FROM:<a@example.org>\r\n`);
  expect(await client.reply()).toBe('535 5.7.8 no');
  expect(await client.reply()).toMatch(/^530/);
  client.end();
});

function lostUpstreams(): string[] {
  return gateway?.events.flatMap((each) => (each.event === 'smtp.upstream-lost' ? [each.reason] : [])) ?? [];
}
