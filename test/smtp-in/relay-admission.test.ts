import { afterEach, expect, test } from 'vitest';
import { AddressRanges } from '../../src/connections/address-range.ts';
import type { RelaySettings } from '../../src/smtp-in/relay-admission.ts';
import { TestClient } from './support/client.ts';
import { inbound, NOBODY, outbound, type TestRelay, testRelay } from './support/relay.ts';

/** Listeners for other servers, and strangers who want them to carry their mail elsewhere. */

let relay: TestRelay | null = null;
afterEach(async () => {
  await relay?.close();
  relay = null;
});

async function greeted(...args: Parameters<typeof testRelay>): Promise<TestClient> {
  relay = await testRelay(...args);
  const client = await TestClient.open(relay.port);
  await client.ask('EHLO stranger.test');
  return client;
}

const OWN = inbound(['example.org', '*.sub.example.org', 'xn--bcher-kva.example']);

/** What was said to RCPT, and what the mail server heard of it. */
async function rcpt(settings: RelaySettings, recipient: string, utf8 = false): Promise<[string, string[]]> {
  const client = await greeted(settings);
  await client.ask(`MAIL FROM:<stranger@elsewhere.test>${utf8 ? ' SMTPUTF8' : ''}`);
  const reply = (await client.ask(`RCPT TO:${recipient}`)) ?? '';
  client.end();
  return [reply.slice(0, 9), relay?.upstream.commands.filter((line) => line.startsWith('RCPT')) ?? []];
}

test.each([
  ['<bob@example.org>', false],
  ['<bob@EXAMPLE.Org>', false],
  ['<bob@a.sub.example.org>', false],
  ['<bob@a.b.sub.example.org>', false],
  ['<"bob smith"@example.org>', false],
  ['<bob+tag=x/y#z@example.org>', false],
  ['<Postmaster>', false],
  ['<bob@xn--bcher-kva.example>', false],
  ['<bob@Bücher.example>', true],
])('a stranger may write to %s', async (recipient, utf8) => {
  const [reply, heard] = await rcpt(OWN, recipient, utf8);
  expect([reply, heard.length]).toEqual(['250 2.1.5', 1]);
});

test.each([
  ['<victim@elsewhere.test>', '550 5.7.1'],
  ['<victim@sub.example.org>', '550 5.7.1'],
  ['<victim@notexample.org>', '550 5.7.1'],
  ['<victim@example.org.elsewhere.test>', '550 5.7.1'],
  ['<victim@xsub.example.org>', '550 5.7.1'],
  ['<victim%elsewhere.test@example.org>', '550 5.7.1'],
  ['<"victim%elsewhere.test"@example.org>', '550 5.7.1'],
  ['<elsewhere.test!victim@example.org>', '550 5.7.1'],
  ['<"victim@elsewhere.test"@example.org>', '550 5.7.1'],
  ['<"victim\\@elsewhere.test"@example.org>', '550 5.7.1'],
  ['<"@elsewhere.test:victim"@example.org>', '550 5.7.1'],
  ['<victim@[127.0.0.1]>', '550 5.7.1'],
  ['<victim@[IPv6:::1]>', '550 5.7.1'],
  ['<@example.org:victim@elsewhere.test>', '501 5.1.3'],
  ['<@example.org,@b.test:victim@elsewhere.test>', '501 5.1.3'],
  ['<victim@example.org@elsewhere.test>', '501 5.1.3'],
  ['<victim@elsewhere.test@example.org>', '501 5.1.3'],
  ['<victim@>', '501 5.1.3'],
  ['<victim>', '501 5.1.3'],
  ['<victim@example.org.>', '501 5.1.3'],
  ['<victim@.example.org>', '501 5.1.3'],
  ['<victim@example..org>', '501 5.1.3'],
  ['<>', '501 5.1.3'],
  ['victim@example.org', '501 5.1.3'],
])('a stranger may not write to %s, and the mail server does not hear of it', async (recipient, code) => {
  expect(await rcpt(OWN, recipient)).toEqual([code, []]);
});

test.each([
  '<victim@ｅxample.org>',
  '<victim@example。org>',
  '<victim@exampłe.org>',
  '<victim@bu\u0308cher.elsewhere>',
])('what only looks like an own domain is none: %s', async (recipient) => {
  expect(await rcpt(OWN, recipient, true)).toEqual(['550 5.7.1', []]);
});

test('an own domain in combining letters is refused or the usual spelling of it, and never another one', async () => {
  const [reply, heard] = await rcpt(OWN, '<bob@bu\u0308cher.example>', true);
  expect(reply).toBe('250 2.1.5');
  expect(heard).toEqual(
    ['RCPT TO:<bob@bu\u0308cher.example>'].map((line) => Buffer.from(line).toString('latin1')),
  );
});

test('an inbound mail has no login: nobody’s keys and addresses are behind it', async () => {
  const client = await greeted(OWN);
  await client.ask('MAIL FROM:<alice@example.org>');
  await client.ask('RCPT TO:<bob@example.org>');
  await client.ask('DATA');
  client.send('From: alice@example.org\r\n\r\nhello\r\n.\r\n');
  expect(await client.reply()).toMatch(/^250 /);
  const [submission] = relay?.story.submissions ?? [];
  expect(submission?.origin).toMatchObject({
    ...{ principal: NOBODY, remote: '127.0.0.1', listener: 'mx' },
    arrival: { hostname: 'gateway.test', helo: 'stranger.test', protocol: 'ESMTP' },
  });
});

test('whom a stranger says that mail is from (AUTH=) is not passed on', async () => {
  const client = await greeted(OWN);
  expect(await client.ask('MAIL FROM:<a@b.test> AUTH=alice@example.org')).toMatch(/^555 5\.5\.4/);
  expect(relay?.upstream.commands.filter((line) => line.startsWith('MAIL'))).toEqual([]);
});

test('nobody logs in, and AUTH is not offered', async () => {
  relay = await testRelay(OWN);
  const client = await TestClient.open(relay.port);
  expect(await client.ask('EHLO stranger.test')).not.toMatch(/AUTH|XCLIENT|XFORWARD/);
  expect(await client.ask('AUTH PLAIN AGEAYg==')).toMatch(/^502 5\.5\.1/);
  expect(await client.ask('RCPT TO:<bob@example.org>')).toMatch(/^503 5\.5\.1/);
  expect(relay.upstream.commands.filter((line) => line.startsWith('AUTH'))).toEqual([]);
});

test('with `from` even own domains are closed to strangers', async () => {
  const from = { networks: new AddressRanges(['10.1.0.0/16']), certificates: { admit: () => false } };
  const client = await greeted({ ...OWN, from });
  expect(await client.ask('MAIL FROM:<a@b.test>')).toMatch(/^554 5\.7\.1 Mail is taken from known/);
  expect(await client.ask('RCPT TO:<bob@example.org>')).toMatch(/^503 /);
  expect(await client.ask('DATA')).toMatch(/^503 /);
  expect(relay?.upstream.commands.some((line) => line.startsWith('MAIL'))).toBe(false);
});

test('pipelined behind a refused MAIL nothing gets through', async () => {
  const client = await greeted(outbound(['10.1.0.0/16']));
  client.send('MAIL FROM:<alice@example.org>\r\nRCPT TO:<victim@elsewhere.test>\r\nDATA\r\n');
  expect(await client.reply()).toMatch(/^554 5\.7\.1/);
  expect(await client.reply()).toMatch(/^503 /);
  expect(await client.reply()).toMatch(/^503 /);
  expect(relay?.upstream.commands.filter((line) => /^(MAIL|RCPT|DATA)/.test(line))).toEqual([]);
});

test('an outbound listener takes mail of its own people for anybody, from the servers that are named', async () => {
  const client = await greeted(outbound(['127.0.0.1']));
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^250 /);
  expect(await client.ask('RCPT TO:<anybody@elsewhere.test>')).toMatch(/^250 /);
  await client.ask('DATA');
  client.send('From: alice@example.org\r\n\r\nhello\r\n.\r\n');
  expect(await client.reply()).toMatch(/^250 /);
  expect(relay?.story.submissions[0]?.origin.principal.login).toBe('alice@example.org');
  // The next one is another’s, and judged anew.
  expect(await client.ask('MAIL FROM:<mallory@example.org>')).toMatch(/^554 5\.7\.1/);
  expect(await client.ask('MAIL FROM:<"alice"@example.org>')).toMatch(/^554 5\.7\.1/);
  expect(await client.ask('MAIL FROM:<Alice@example.org>')).toMatch(/^554 5\.7\.1/);
});

test('strangers and the null sender: refused, or nobody’s', async () => {
  const client = await greeted(outbound(['127.0.0.1']));
  expect(await client.ask('MAIL FROM:<>')).toMatch(/^250 /);
  client.end();
  await relay?.close();
  const other = await greeted(outbound(['127.0.0.1'], {}, { nullSender: 'refuse', strangers: 'pass' }));
  expect(await other.ask('MAIL FROM:<>')).toMatch(/^554 5\.7\.1/);
  expect(await other.ask('MAIL FROM:<printer@example.org>')).toMatch(/^250 /);
  await other.ask('RCPT TO:<a@b.test>');
  await other.ask('DATA');
  other.send('From: printer@example.org\r\n\r\nhello\r\n.\r\n');
  await other.reply();
  expect(relay?.story.submissions[0]?.origin.principal).toBe(NOBODY);
});

test('XCLIENT and XFORWARD of a stranger are words that mean nothing', async () => {
  const client = await greeted(outbound(['10.1.0.0/16']));
  expect(await client.ask('XCLIENT ADDR=10.1.0.5')).toMatch(/^500 5\.5\.1/);
  expect(await client.ask('XFORWARD ADDR=10.1.0.5')).toMatch(/^500 5\.5\.1/);
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^554 5\.7\.1/);
});

const PROXY = { trustedProxies: new AddressRanges(['127.0.0.1']) };

test('a trusted proxy says whose connection it is, and the session begins anew', async () => {
  relay = await testRelay(outbound(['10.1.0.0/16'], PROXY));
  const client = await TestClient.open(relay.port);
  expect(await client.ask('EHLO proxy.test')).toMatch(
    /XCLIENT NAME ADDR PORT PROTO HELO\r\n.*XFORWARD NAME ADDR/,
  );
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^554 5\.7\.1/);
  expect(await client.ask('XCLIENT ADDR=10.1.0.5 NAME=[UNAVAILABLE]')).toMatch(/^220 gateway\.test ESMTP/);
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^503 /);
  await client.ask('EHLO server.test');
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^250 /);
  expect(await client.ask('XCLIENT ADDR=10.1.0.6')).toMatch(/^503 /);
  await client.ask('RSET');
  for (const address of ['192.0.2.1', '[UNAVAILABLE]', 'IPV6:::1', 'nonsense', '10.1.0.5%lo']) {
    expect(await client.ask(`XCLIENT ADDR=${address}`)).toMatch(/^220 /);
    await client.ask('EHLO stranger.test');
    expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^554 5\.7\.1/);
  }
  expect(await client.ask('XCLIENT LOGIN=alice@example.org')).toMatch(/^220 /);
  await client.ask('EHLO stranger.test');
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^554 5\.7\.1/);
});

test('the log says who was refused: the address that counts, and the listener', async () => {
  relay = await testRelay(outbound(['10.1.0.0/16'], PROXY));
  const client = await TestClient.open(relay.port);
  await client.ask('EHLO proxy.test');
  await client.ask('MAIL FROM:<alice@example.org>');
  await client.ask('XCLIENT ADDR=192.0.2.1');
  await client.ask('EHLO stranger.test');
  await client.ask('MAIL FROM:<alice@example.org>');
  const refused = relay.events.flatMap((each) => (each.event === 'smtp.refused' ? [each] : []));
  expect(refused.map(({ remote, listener, code }) => [remote, listener, code])).toEqual([
    ['127.0.0.1', 'mx', 554],
    ['192.0.2.1', 'mx', 554],
  ]);
});

test('what a proxy says of whose mail it passes on is told the mail server, and admits nobody', async () => {
  relay = await testRelay(outbound(['10.1.0.0/16', '127.0.0.1'], PROXY), {
    keywords: ['PIPELINING', 'XFORWARD NAME ADDR'],
    script: { XFORWARD: '250 2.0.0 noted\r\n' },
  });
  const client = await TestClient.open(relay.port);
  await client.ask('EHLO proxy.test');
  expect(await client.ask('XFORWARD NAME=a+20b ADDR=192.0.2.7 PROTO=ESMTP')).toMatch(/^250 /);
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^250 /);
  expect(relay.upstream.commands.slice(1)).toEqual([
    'XFORWARD NAME=a+20b',
    'XFORWARD ADDR=192.0.2.7',
    'MAIL FROM:<alice@example.org>',
  ]);
  // It was said of that mail, and of no other.
  await client.ask('RSET');
  await client.ask('MAIL FROM:<alice@example.org>');
  expect(relay.upstream.commands.filter((line) => line.startsWith('XFORWARD'))).toHaveLength(2);
  await client.ask('RSET');
  await client.ask('XFORWARD ADDR=192.0.2.8');
  await client.ask('MAIL FROM:<alice@example.org>');
  expect(relay.upstream.commands.at(-2)).toBe('XFORWARD ADDR=192.0.2.8');
});

test('what a proxy has said of whose mail it passes on is not said of the next client', async () => {
  relay = await testRelay(outbound(['10.1.0.0/16'], PROXY), {
    keywords: ['PIPELINING', 'XFORWARD NAME ADDR'],
    script: { XFORWARD: '250 2.0.0 noted\r\n' },
  });
  const client = await TestClient.open(relay.port);
  await client.ask('EHLO proxy.test');
  await client.ask('XFORWARD ADDR=192.0.2.7');
  await client.ask('XCLIENT ADDR=10.1.0.5');
  await client.ask('EHLO server.test');
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^250 /);
  expect(relay.upstream.commands.filter((line) => line.startsWith('XFORWARD'))).toEqual([]);
});

test('the address of a load balancer that tells nothing of its client admits nobody', async () => {
  relay = await testRelay(outbound(['127.0.0.1', '10.1.0.0/16']), {}, { proxyProtocolFrom: ['127.0.0.1'] });
  const { port } = relay;
  const through = async (header: string) => {
    const client = new TestClient((await import('node:net')).connect(port, '127.0.0.1'));
    client.send(header);
    await client.reply();
    await client.ask('EHLO server.test');
    const reply = await client.ask('MAIL FROM:<alice@example.org>');
    client.end();
    return reply?.slice(0, 9);
  };
  expect(await through('PROXY TCP4 10.1.0.5 10.1.0.7 4711 25\r\n')).toMatch(/^250 /);
  expect(await through('PROXY TCP4 192.0.2.5 10.1.0.7 4711 25\r\n')).toBe('554 5.7.1');
  expect(await through('PROXY UNKNOWN\r\n')).toBe('554 5.7.1');
  // A client beside the balancer, which tells so, is a client like others.
  expect(await through('PROXY TCP4 127.0.0.1 127.0.0.1 4711 25\r\n')).toMatch(/^250 /);
});
