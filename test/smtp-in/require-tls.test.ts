import { afterAll, afterEach, expect, test } from 'vitest';
import type { HandOver, Submission, SubmissionOutcome, UpstreamFacts } from '../../src/pipeline/ports.ts';
import { certificateFor } from '../support/certificate.ts';
import { PLAIN, TestClient } from './support/client.ts';
import { type FakeUpstream, fakeUpstream, KEYWORDS } from './support/fake-upstream.ts';
import { ForwardingStory, loggedIn, type TestGateway, testGateway } from './support/gateway.ts';

const material = certificateFor('127.0.0.1', 'localhost');
afterAll(() => material.remove());

/** Asks for TLS onward, and remembers what it was told of the way. */
class StrictStory extends ForwardingStory {
  readonly ways: UpstreamFacts[] = [];

  protected override async handOver(
    { envelope: { recipients }, octets }: Submission,
    handOver: HandOver,
  ): Promise<SubmissionOutcome> {
    this.ways.push(handOver.upstream);
    const protection = { signed: true, encrypted: false };
    return this.outcome(await handOver.deliver({ recipients, octets, protection, requireTls: true }));
  }
}

let gateway: TestGateway | null = null;
let server: FakeUpstream | null = null;
afterEach(async () => {
  await gateway?.close();
  await server?.close();
  [gateway, server] = [null, null];
});

async function send(keywords: readonly string[], tls: 'implicit' | 'none') {
  const story = new StrictStory();
  server = await fakeUpstream({ keywords, ...(tls === 'none' ? {} : { tls: material, implicit: true }) });
  const upstream = {
    host: '127.0.0.1',
    port: server.port,
    tls,
    ...(tls === 'none' ? {} : { caFile: material.file }),
  };
  gateway = await testGateway({}, { upstream }, story);
  const client = await loggedIn(gateway.port);
  client.send('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  client.send('plain\r\n.\r\n');
  const reply = await client.reply();
  client.end();
  return {
    reply,
    ways: story.ways,
    commands: server.commands.filter((one) => /^(MAIL|DATA|RSET)/.test(one)),
  };
}

test('a server that offers REQUIRETLS is asked for it, in a transaction of its own', async () => {
  const { reply, ways, commands } = await send([...KEYWORDS, 'REQUIRETLS'], 'implicit');
  expect(reply).toMatch(/^250/);
  expect(ways).toEqual([{ tls: true, requireTls: true }]);
  expect(commands).toEqual([
    'MAIL FROM:<a@example.org>',
    'RSET',
    'MAIL FROM:<a@example.org> REQUIRETLS',
    'DATA',
  ]);
});

test('one that does not is not: the way to it has TLS', async () => {
  const { reply, ways, commands } = await send(KEYWORDS, 'implicit');
  expect(reply).toMatch(/^250/);
  expect(ways).toEqual([{ tls: true, requireTls: false }]);
  expect(commands).toEqual(['MAIL FROM:<a@example.org>', 'DATA']);
});

test('without TLS what it offers counts for nothing, and nothing is handed over', async () => {
  const { reply, ways, commands } = await send([...KEYWORDS, 'REQUIRETLS'], 'none');
  expect(reply).toMatch(/^451/);
  expect(ways).toEqual([{ tls: false, requireTls: false }]);
  expect(commands).not.toContain('DATA');
});

/** A client under TLS, or without. */
async function ask(keywords: readonly string[], clientTls: boolean, upstreamTls: boolean) {
  server = await fakeUpstream({ keywords, ...(upstreamTls ? { tls: material, implicit: true } : {}) });
  const upstream = {
    ...{ host: '127.0.0.1', port: server.port, tls: upstreamTls ? ('implicit' as const) : ('none' as const) },
    ...(upstreamTls ? { caFile: material.file } : {}),
  };
  gateway = await testGateway(
    {},
    { upstream, ...(clientTls ? { tls: 'implicit', tlsMaterial: material } : {}) },
  );
  const client = clientTls
    ? await TestClient.openTls(gateway.port, material.cert)
    : await TestClient.open(gateway.port);
  const offered = await client.ask('EHLO client.test');
  await client.ask(`AUTH PLAIN ${PLAIN}`);
  return { client, offered };
}

test('RFC 8689: offered under TLS on both sides, and what the client asks for goes on with each message', async () => {
  const { client, offered } = await ask([...KEYWORDS, 'REQUIRETLS'], true, true);
  expect(offered).toContain('REQUIRETLS');
  client.send('MAIL FROM:<a@example.org> REQUIRETLS\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  for (let i = 0; i < 3; i++) await client.reply();
  // The story does not ask for it: the client does.
  expect(await client.ask('x\r\n.')).toMatch(/^250/);
  const commands = server?.commands.filter((one) => /^(MAIL|RSET|DATA)/.test(one));
  expect(commands).toEqual(['MAIL FROM:<a@example.org> REQUIRETLS', 'DATA']);
  client.end();
});

test.each([
  ['the client', false, true],
  ['the mail server', true, false],
])('where %s has no TLS it is not offered, and refused', async (_, clientTls, upstreamTls) => {
  const { client, offered } = await ask([...KEYWORDS, 'REQUIRETLS'], clientTls, upstreamTls);
  expect(offered).not.toContain('REQUIRETLS');
  expect(await client.ask('MAIL FROM:<a@example.org> REQUIRETLS')).toMatch(/^555 5\.5\.4/);
  expect(server?.commands.filter((one) => one.startsWith('MAIL'))).toEqual([]);
  client.end();
});

test('a server that does not offer it: neither do we', async () => {
  const { client, offered } = await ask(KEYWORDS, true, true);
  expect(offered).not.toContain('REQUIRETLS');
  expect(await client.ask('MAIL FROM:<a@example.org> REQUIRETLS')).toMatch(/^555 5\.5\.4/);
  client.end();
});
