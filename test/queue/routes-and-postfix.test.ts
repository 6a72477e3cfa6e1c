import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { Opened } from '../../src/gateway/opening.ts';
import { openQueue } from '../../src/gateway/queue.ts';
import { openKeySources } from '../../src/hsm/key-sources.ts';
import type { Event } from '../../src/log/events.ts';
import { retryNow } from '../../src/queue/by-hand.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { A, B, type MailWorld, mailServer, mailTo, mailWorld } from '../routing/support/mail-world.ts';
import type { FakeUpstream } from '../smtp-in/support/fake-upstream.ts';
import { type MxPostfix, startMxPostfix } from '../support/services/mx-postfix.ts';

/** Routes as the configuration has them: a Postfix that DNS names, and a server of one's own. */

let world: MailWorld;
let postfix: MxPostfix;
let own: FakeUpstream;
let file = '';
beforeAll(async () => {
  world = await mailWorld();
  const { port, certificate, folder, pki, servers, caFile } = world;
  [postfix, own] = await Promise.all([
    startMxPostfix({
      host: A,
      port,
      domains: ['ee.signed.example', 'named.signed.example'],
      tls: certificate,
    }),
    mailServer(world, B),
  ]);
  const identity = await pki.issueUser({ address: 'gateway@home.example', keyType: 'p-256' });
  file = join(folder, 'gateway.yaml');
  const place = { host: B, port, tls: 'starttls', ca: caFile, serverName: 'b.plain.example' };
  const upstream = { host: '127.0.0.1', port, tls: 'none' };
  const configuration = {
    ...{ hostname: 'gateway.test', stateFolder: join(folder, 'state') },
    submission: [{ name: 'submission', host: '127.0.0.1', port: 0, tls: 'none', upstream }],
    keys: [{ name: 'gateway', kind: 'pem', certificate: identity.certificateFile, key: identity.keyFile }],
    policy: { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] },
    queue: {
      ...{ key: 'gateway', address: 'gateway@home.example' },
      routes: [
        { name: 'home', domains: ['home.example', '*.home.example'], via: { kind: 'server', ...place } },
        { name: 'internet', domains: ['*'], via: { kind: 'mx', tls: 'dane-or-verify' } },
      ],
      mx: {
        ...{ resolvers: [`127.0.0.1:${servers.port}`], port, ca: caFile },
        allowAddresses: ['127.0.0.0/8'],
      },
    },
  };
  await writeFile(file, stringify(configuration), { mode: 0o600 });
});
afterAll(async () => {
  await Promise.all([postfix?.stop(), own?.close()]);
  await world?.stop();
});

test('each mail goes its way, and what has none comes back by its own with the reason', async () => {
  const loaded = await loadConfig(file);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  const { config } = loaded;
  const events: Event[] = [];
  const log = { write: (event: Event) => void events.push(event) };
  const clock = () => new Date();
  const opened = new Opened();
  try {
    const sources = opened.keep(await openKeySources(config.keys, { log, clock, postQuantum: false }));
    const queue = await openQueue({ config, log, clock, opened }, sources);
    if (queue === null) throw new Error('no queue');
    await queue.start();
    const to = [
      ...['bob@ee.signed.example', 'refused@ee.signed.example', 'carol@named.signed.example'],
      ...['dora@dept.home.example', 'eve@null.plain.example', 'fay@two.plain.example'],
    ];
    const expiresAt = new Date(Date.now() + 3_600_000);
    await queue.queue.enqueue([{ ...mailTo(...to), requireTls: 'upstream', expiresAt }]);
    const reports = () => own.accepted.filter(({ from }) => from.startsWith('MAIL FROM:<>'));
    // Where a name server was slow once, what waits for a minute is tried again at once.
    const tried = async () => {
      await retryNow(queue.store, {}, new Date());
      return reports().length;
    };
    await expect.poll(tried, { timeout: 45_000, interval: 500 }).toBe(2);
    const told = reports()
      .map(({ octets }) => octets.toString())
      .join();
    expect(told).toMatch(/rfc822; eve@null\.plain\.example\r\nAction: failed\r\nStatus: 5\.1\.10\r\n/);
    expect(told).toMatch(
      /rfc822; refused@ee\.signed\.example\r\n.*\r\nStatus: 5\.1\.1\r\nRemote-MTA: dns; mx\.signed\.example\r\n/,
    );
    await expect
      .poll(() => own.accepted.filter(({ to: taken }) => taken.some((line) => line.includes('dora@'))).length)
      .toBe(1);
    const delayed = () =>
      events.flatMap((event) => (event.event === 'queue.delayed' ? [event.reason] : [])).join();
    await expect.poll(delayed).toContain('nobody vouches for a.plain.example being a mail server');
    await expect.poll(() => postfix.logText()).toMatch(/to=<carol@named\.signed\.example>.*status=sent/);
  } finally {
    await opened.close();
  }
  await expect.poll(() => postfix.logText()).toMatch(/to=<bob@ee\.signed\.example>.*status=sent/);
  const text = await postfix.logText();
  expect(text).toMatch(/TLS connection established from .*TLSv1\.3/);
  expect(text).not.toMatch(/fay@|eve@|dora@/);
});

test('the command line says where mail goes, how it is secured, and why', async () => {
  const route = async (...args: string[]) => {
    const ended = await runSealgate(['queue', 'route', ...args, '--config', file], {
      cache: join(world.folder, 'cache'),
    });
    return ended.code === 0 ? ended.out : `${ended.code}: ${ended.error}`;
  };
  expect(await route('bob@ee.signed.example')).toBe(
    [
      'bob@ee.signed.example: domain:ee.signed.example',
      '  route internet: the mail servers that DNS names',
      '  no MTA-STS policy',
      `  1. mx.signed.example (${A}): TLS, verified by TLSA records`,
      '     TLSA records of mx.signed.example (DANE)',
      '',
    ].join('\n'),
  );
  const answers = await Promise.all([
    route('bob@two.plain.example', '--json'),
    route('dora@home.example'),
    route('nobody'),
  ]);
  expect(JSON.parse(answers[0] ?? '')).toMatchObject({
    ...{ destination: 'domain:two.plain.example', route: 'internet' },
    hosts: [{ name: 'a.plain.example', addresses: [A], protection: 'unusable' }, { name: 'b.plain.example' }],
    none: { kind: 'later', status: '4.7.5' },
  });
  expect(answers[1]).toContain(`route home: ${B}:${world.port}, tls: starttls`);
  expect(answers[2]).toMatch(/^\d+: .*is no mail address/);
});
