import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { AddressRanges } from '../../src/connections/address-range.ts';
import {
  createThrowawayPki,
  type ServerIdentity,
  type ThrowawayPki,
} from '../../src/evaluation/throwaway-pki.ts';
import { clientCertificates } from '../../src/gateway/client-certificates.ts';
import { parsePem } from '../smime/support/pem.ts';
import { TestClient } from './support/client.ts';
import { outbound, type TestRelay, testRelay } from './support/relay.ts';

/** Servers that are let in because of a certificate, and what does not let anybody in. */

let folder: string;
let pki: ThrowawayPki;
let foreign: ThrowawayPki;
let gateway: ServerIdentity;
let known: ServerIdentity;
let stranger: ServerIdentity;
let forged: ServerIdentity;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-relay-'));
  [pki, foreign] = await Promise.all([
    createThrowawayPki(join(folder, 'pki')),
    createThrowawayPki(join(folder, 'foreign')),
  ]);
  [gateway, known, stranger, forged] = await Promise.all([
    pki.issueServer(),
    pki.issueServer(['mail.example.org']),
    pki.issueServer(['mail.elsewhere.test']),
    foreign.issueServer(['mail.example.org']),
  ]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let relay: TestRelay | null = null;
afterEach(async () => {
  await relay?.close();
  relay = null;
});

const clock = () => new Date();

async function start(
  allowed: Parameters<typeof clientCertificates>[0],
  tls: 'implicit' | 'starttls' = 'implicit',
  trustedProxies: readonly string[] = [],
): Promise<TestRelay> {
  const certificates = allowed.length === 0 ? null : await clientCertificates(allowed, clock);
  const from = { networks: new AddressRanges([]), certificates };
  const settings = outbound([], { from, trustedProxies: new AddressRanges(trustedProxies) });
  relay = await testRelay(settings, {}, { tls, tlsMaterial: { cert: gateway.cert, key: gateway.key } });
  return relay;
}

async function saidTo(shown: ServerIdentity | null, port: number): Promise<string | undefined> {
  const own = shown === null ? {} : { cert: shown.cert, key: shown.key };
  const client = new TestClient(
    connect({ ...{ port, host: '127.0.0.1', servername: 'localhost', ca: pki.ca.certificate }, ...own }),
  );
  await client.reply();
  await client.ask('EHLO server.test');
  const reply = await client.ask('MAIL FROM:<alice@example.org>');
  client.end();
  return reply?.slice(0, 9);
}

test('by fingerprint exactly one certificate lets its owner in', async () => {
  const { fingerprint } = parsePem(known.cert);
  const { port } = await start([{ fingerprint, ca: null, names: null }]);
  expect(await saidTo(known, port)).toBe('250 2.1.0');
  for (const shown of [stranger, forged, null]) expect(await saidTo(shown, port)).toBe('554 5.7.1');
});

test('by authority and name: another authority, another name and no certificate are refused', async () => {
  const ca = pki.ca.certificateFile;
  const { port } = await start([
    { fingerprint: null, ca, names: ['mail.example.org', '*.internal.example.org'] },
  ]);
  expect(await saidTo(known, port)).toBe('250 2.1.0');
  for (const shown of [stranger, forged, null]) expect(await saidTo(shown, port)).toBe('554 5.7.1');
  const below = await pki.issueServer(['a.internal.example.org']);
  expect(await saidTo(below, port)).toBe('250 2.1.0');
  const wildcard = await pki.issueServer(['*.internal.example.org']);
  expect(await saidTo(wildcard, port)).toBe('554 5.7.1');
});

test('what is over lets nobody in', async () => {
  const ca = pki.ca.certificateFile;
  const later = () => new Date(Date.now() + 400 * 24 * 3_600_000);
  const { admit } = await clientCertificates([{ fingerprint: null, ca, names: ['mail.example.org'] }], later);
  expect(admit([parsePem(known.cert).der])).toBe(false);
  expect(admit([Buffer.from('no certificate')])).toBe(false);
  expect(admit([])).toBe(false);
});

test('before STARTTLS nobody is let in, and the certificate of a proxy not those who come through it', async () => {
  const { fingerprint } = parsePem(known.cert);
  const { port } = await start([{ fingerprint, ca: null, names: null }], 'starttls', ['127.0.0.1']);
  const client = await TestClient.open(port);
  await client.ask('EHLO server.test');
  expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(/^554 5\.7\.1/);
  expect(await client.ask('XCLIENT ADDR=192.0.2.1')).toMatch(/^220 /);
  await client.ask('EHLO server.test');
  expect(await client.ask('STARTTLS')).toMatch(/^220 /);
  const raw = client.socket;
  raw.removeAllListeners('data');
  raw.removeAllListeners('close');
  const own = { cert: known.cert, key: known.key };
  const secure = new TestClient(
    connect({ socket: raw, servername: 'localhost', ca: pki.ca.certificate, ...own }),
  );
  await secure.ask('EHLO server.test');
  expect(await secure.ask('MAIL FROM:<alice@example.org>')).toMatch(/^554 5\.7\.1/);
  secure.end();
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'who comes again with the session of before is let in (%s)',
  async (maxVersion) => {
    const byName = { fingerprint: null, ca: pki.ca.certificateFile, names: ['mail.example.org'] };
    for (const allowed of [[byName], []]) {
      const { port } = await start(allowed);
      const own = { cert: known.cert, key: known.key, ca: pki.ca.certificate, servername: 'localhost' };
      let session: Buffer | undefined;
      for (const time of ['first', 'again']) {
        const resumed = session === undefined ? {} : { session };
        const socket = connect({ port, host: '127.0.0.1', maxVersion, ...own, ...resumed });
        socket.on('session', (ticket) => {
          session = ticket;
        });
        const client = new TestClient(socket);
        expect([time, await client.reply()]).toEqual([time, expect.stringMatching(/^220 /)]);
        await client.ask('EHLO server.test');
        const expected = allowed.length === 0 ? /^554 5\.7\.1/ : /^250 /;
        expect(await client.ask('MAIL FROM:<alice@example.org>')).toMatch(expected);
        // Where nobody is asked for a certificate a session is good for a second time.
        expect(socket.isSessionReused()).toBe(time === 'again' && allowed.length === 0);
        client.end();
      }
      await relay?.close();
      relay = null;
    }
  },
);
