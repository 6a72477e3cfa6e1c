import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { explicit, implicitConstructed, nullValue, sequence } from '../../src/asn1/writer.ts';
import {
  basicConstraints,
  ecKey,
  extension,
  generalName,
  keyUsage,
  makeCa,
  makeCertificate,
  now,
} from '../pki/make-certificate.ts';
import {
  type CrlRecipe,
  cRLDistributionPoints,
  freshestCRL,
  hour,
  later,
  makeCrlDer,
} from '../pki/make-crl.ts';
import { makeOcspDer, type OcspRecipe } from '../pki/make-ocsp.ts';
import { Loopback } from './support/loopback.ts';
import { authorityInfoAccess, check, open, root, serialOf, subscriber, words } from './support/setting.ts';

let server: Loopback;
const opened: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  server = await Loopback.start();
});

afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  await server.close();
});

async function start(...[settings, parts]: [Parameters<typeof open>[1]?, Parameters<typeof open>[2]?]) {
  const revocation = await open(server.port, settings, parts);
  opened.push(revocation);
  return revocation;
}

const crl = (recipe: Partial<CrlRecipe> = {}) =>
  makeCrlDer({ issuer: 'Root', key: ecKey('Root'), ...recipe });
const ocsp = (recipe: Pick<OcspRecipe, 'certificate'> & Partial<OcspRecipe>) =>
  makeOcspDer({ issuer: root, key: ecKey('Root'), ...recipe });

describe('evidence that is fetched', () => {
  test('a CRL without the certificate: good, and asked for once', async () => {
    server.gives('/crl', crl({ entries: [{ serial: 7 }] }));
    const revocation = await start();
    const one = subscriber({ crl: [server.url('/crl')] });
    expect((await check(revocation, one)).verdict).toBe('good');
    expect((await check(revocation, one)).verdict).toBe('good');
    expect((await check(revocation, subscriber({ crl: [server.url('/crl')] }))).verdict).toBe('good');
    expect(server.times('/crl')).toBe(1);
    const [asked] = server.asked;
    expect(asked?.method).toBe('GET');
    expect(Object.keys(asked?.headers ?? {}).sort()).toEqual([
      'accept',
      'accept-encoding',
      'connection',
      'host',
    ]);
  });

  test('a CRL with the certificate: revoked', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    server.gives('/crl', crl({ entries: [{ serial: serialOf(one), reason: 1 }] }));
    const report = await check(await start(), one);
    expect(report.verdict).toBe('revoked');
    expect(report.certificates[0]?.revocation).toMatchObject({ reason: 'keyCompromise', by: 'crl' });
  });

  test('an OCSP answer by a short GET; the CRL is then not asked for', async () => {
    const one = subscriber({ ocsp: [server.url('/ocsp')], crl: [server.url('/crl')] });
    server.gives('/ocsp', ocsp({ certificate: one })).gives('/crl', crl());
    const report = await check(await start(), one);
    expect(report.certificates[0]?.revocation).toMatchObject({ status: 'good', by: 'ocsp' });
    expect(server.asked.map(({ method }) => method)).toEqual(['GET']);
    expect(server.times('/crl')).toBe(0);
  });

  test('a responder that knows no GET is asked by POST', async () => {
    const one = subscriber({ ocsp: [server.url('/ocsp')] });
    server.on('/ocsp', (request, body, response) => {
      const isPost = request.method === 'POST' && body.length > 0;
      if (isPost) response.end(ocsp({ certificate: one, status: 'revoked' }));
      else response.writeHead(405).end();
    });
    expect((await check(await start(), one)).verdict).toBe('revoked');
    expect(server.asked.map(({ method }) => method)).toEqual(['GET', 'POST']);
    expect(server.asked[1]?.headers['content-type']).toBe('application/ocsp-request');
  });

  test('a responder that does not know the certificate: the CRL decides', async () => {
    const one = subscriber({ ocsp: [server.url('/ocsp')], crl: [server.url('/crl')] });
    server.gives('/ocsp', ocsp({ certificate: one, status: 'unknown' })).gives('/crl', crl());
    const report = await check(await start(), one);
    expect(report.certificates[0]?.revocation).toMatchObject({ status: 'good', by: 'crl' });
    const alone = subscriber({ ocsp: [server.url('/only')] });
    server.gives('/only', ocsp({ certificate: alone, status: 'unknown' }));
    const second = await check(await start(), alone);
    expect(second.verdict).toBe('unchecked');
    expect(words(second)).toContain('does not know it');
  });

  test('of every certificate of the path, in parallel', async () => {
    const places = [cRLDistributionPoints({ uri: server.url('/root.crl') })];
    const ca = makeCa('Intermediate', 'Root', places);
    const one = makeCertificate({
      ...{ subject: 'Below', issuer: 'Intermediate', key: ecKey('Below'), issuerKey: ecKey('Intermediate') },
      extensions: [cRLDistributionPoints({ uri: server.url('/intermediate.crl') })],
    });
    server.gives('/root.crl', crl());
    server.gives('/intermediate.crl', makeCrlDer({ issuer: 'Intermediate', key: ecKey('Intermediate') }));
    const revocation = await start();
    expect((await check(revocation, one, [ca])).verdict).toBe('good');
    expect(server.asked).toHaveLength(2);
    // The intermediate is known from now on, as a help to find the path of that certificate alone.
    expect(await revocation.standing.of(one)).toEqual({ kind: 'good' });
  });

  test('a responder whose own certificate needs a CRL gets one', async () => {
    const responder = makeCertificate({
      ...{ subject: 'Responder', issuer: 'Root', key: ecKey('Responder'), issuerKey: ecKey('Root') },
      extensions: [
        extension('2.5.29.37', Buffer.from('300a06082b06010505070309', 'hex')),
        cRLDistributionPoints({ uri: server.url('/crl') }),
      ],
    });
    const one = subscriber({ ocsp: [server.url('/ocsp')] });
    server.gives(
      '/ocsp',
      ocsp({ certificate: one, key: ecKey('Responder'), responder, certificates: [responder] }),
    );
    server.gives('/crl', crl());
    expect((await check(await start(), one)).verdict).toBe('good');
    expect(server.times('/crl')).toBe(1);
  });

  test('where only the standing of a responder could not be had, the certificate may pass later', async () => {
    const responder = makeCertificate({
      ...{ subject: 'Responder', issuer: 'Root', key: ecKey('Responder'), issuerKey: ecKey('Root') },
      extensions: [
        extension('2.5.29.37', Buffer.from('300a06082b06010505070309', 'hex')),
        cRLDistributionPoints({ uri: server.url('/crl') }),
      ],
    });
    const revocation = await start();
    for (const places of [
      { ocsp: [server.url('/ocsp')] },
      { ocsp: [server.url('/ocsp')], crl: [server.url('/crl')] },
    ]) {
      const one = subscriber(places);
      const signed = { certificate: one, key: ecKey('Responder'), responder, certificates: [responder] };
      server.gives('/ocsp', ocsp(signed));
      // The second time the response is kept already.
      for (const _ of [1, 2]) {
        expect(await revocation.standing.of(one)).toMatchObject({ kind: 'unchecked', mayPass: true });
      }
    }
  });

  test('a delta that the certificate names', async () => {
    const one = subscriber({ crl: [server.url('/crl')] }, [freshestCRL({ uri: server.url('/delta') })]);
    server.gives('/crl', crl({ number: 5 }));
    server.gives('/delta', crl({ number: 6, base: 5, entries: [{ serial: serialOf(one), reason: 4 }] }));
    expect((await check(await start(), one)).verdict).toBe('revoked');
  });

  test('a delta that the CRL names', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    server.gives('/crl', crl({ number: 5, extensions: [freshestCRL({ uri: server.url('/delta') })] }));
    server.gives('/delta', crl({ number: 6, base: 5, entries: [{ serial: serialOf(one), reason: 4 }] }));
    expect((await check(await start(), one)).verdict).toBe('revoked');
  });

  test('the second place of a distribution point, where the first does not answer', async () => {
    const ways = [server.url('/gone'), server.url('/crl')].map(generalName.uri);
    const point = sequence(explicit(0, implicitConstructed(0, ...ways)));
    const one = subscriber({}, [extension('2.5.29.31', sequence(point))]);
    server.gives('/crl', crl());
    expect((await check(await start(), one)).verdict).toBe('good');
  });

  test('with a nonce: by POST, and an answer without it is not believed', async () => {
    const one = subscriber({ ocsp: [server.url('/ocsp')] });
    server.gives('/ocsp', ocsp({ certificate: one }));
    const strict = await check(await start({ nonce: 'require' }), one);
    expect(strict.verdict).toBe('unchecked');
    expect(words(strict)).toContain('nonce');
    expect((await check(await start({ nonce: 'prefer' }), one)).verdict).toBe('good');
    expect(server.asked.map(({ method }) => method)).toEqual(['POST', 'POST']);
  });

  test('nothing where the certificate says that there is nothing (RFC 9608)', async () => {
    const noRevAvail = extension('2.5.29.56', nullValue());
    const report = await check(await start(), subscriber({}, [noRevAvail]));
    expect(report.certificates[0]?.revocation).toMatchObject({ by: 'no-revocation-available' });
    // A CA, or one that names a place, may not say so: it is looked up as always.
    const named = await check(await start(), subscriber({ crl: [server.url('/crl')] }, [noRevAvail]));
    expect(named.verdict).toBe('unchecked');
    const ca = makeCertificate({
      ...{ subject: 'CA', issuer: 'Root', key: ecKey('CA'), issuerKey: ecKey('Root') },
      extensions: [basicConstraints(true), keyUsage(5, 6), noRevAvail],
    });
    expect((await check(await start(), ca)).verdict).toBe('unchecked');
  });
});

describe('evidence that is not believed', () => {
  test.each([
    [
      'expired',
      () => crl({ thisUpdate: later(-48 * hour), nextUpdate: later(-24 * hour) }),
      'was new only until',
    ],
    ['from the future', () => crl({ thisUpdate: later(24 * hour) }), 'from the future'],
    ['signed by somebody else', () => crl({ key: ecKey('Mallory') }), 'does not bear the signature'],
    ['of another CA', () => makeCrlDer({ issuer: 'Mallory', key: ecKey('Mallory') }), 'of another issuer'],
    ['no CRL at all', () => Buffer.from('<html>'), 'something else'],
  ])('a CRL that is %s', async (_name, made, reason) => {
    const one = subscriber({ crl: [server.url('/crl')] });
    server.gives('/crl', made());
    const revocation = await start();
    const report = await check(revocation, one);
    expect(report.verdict).toBe('unchecked');
    expect(words(report)).toContain(reason);
    expect(revocation.events).toContainEqual(expect.objectContaining({ event: 'revocation.fetch-failed' }));
  });

  test('an old answer of the responder, replayed', async () => {
    const one = subscriber({ ocsp: [server.url('/ocsp')] });
    const old = {
      thisUpdate: later(-72 * hour),
      nextUpdate: later(-48 * hour),
      producedAt: later(-72 * hour),
    };
    server.gives('/ocsp', ocsp({ certificate: one, ...old }));
    const report = await check(await start(), one);
    expect(report.verdict).toBe('unchecked');
    expect(words(report)).toContain('was new only until');
  });

  test('an older answer never takes the place of a newer one', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    const revocation = await start();
    server.gives('/crl', crl({ entries: [{ serial: serialOf(one), reason: 1 }] }));
    expect((await check(revocation, one)).verdict).toBe('revoked');
    server.gives('/crl', crl({ thisUpdate: later(-2 * hour), nextUpdate: later(48 * hour) }));
    revocation.time.now = later(30 * hour);
    expect((await check(revocation, one)).verdict).toBe('unchecked');
    expect(server.times('/crl')).toBe(2);
  });

  test('another genuine list of the same CA: what is known of a revocation is not forgotten for it', async () => {
    const ca = makeCa('Intermediate', 'Root');
    const place = server.url('/crl');
    const below = (serial: number) =>
      makeCertificate({
        ...{ subject: 'Below', issuer: 'Intermediate', key: ecKey('Below'), serial },
        issuerKey: ecKey('Intermediate'),
        extensions: [cRLDistributionPoints({ uri: place })],
      });
    const list = (recipe: Partial<CrlRecipe>) =>
      makeCrlDer({ issuer: 'Intermediate', key: ecKey('Intermediate'), ...recipe });
    const revoked = below(77);
    const revocation = await start();
    server.gives('/crl', list({ entries: [{ serial: 77 }], number: 3 }));
    const fetches = () =>
      revocation.events.filter(({ event }) => event.startsWith('revocation.fetch')).length;
    const first = await check(revocation, revoked, [ca]);
    expect(first.certificates[0]?.revocation.status).toBe('revoked');
    const newer = { thisUpdate: later(1000), nextUpdate: later(100 * 24 * hour), number: 4 };
    const others = [
      crl(newer),
      list({ ...newer, scope: { only: 'ca' } }),
      list({ ...newer, scope: { uri: server.url('/shard-2') } }),
      list({ ...newer, base: 3 }),
    ];
    for (const [i, other] of others.entries()) {
      server.gives('/crl', other);
      revocation.time.now = later((21 + i / 10) * hour);
      const again = await check(revocation, revoked, [ca]);
      expect(again.certificates[0]?.revocation.status).toBe('revoked');
      while (fetches() < i + 2) await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await check(revocation, revoked, [ca])).certificates[0]?.revocation.status).toBe('revoked');
    const told = revocation.events.filter(({ event }) => event === 'revocation.fetch-failed');
    expect(told).toHaveLength(others.length);
  });

  test('older than the setting allows', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    server.gives('/crl', crl({ thisUpdate: later(-5 * hour) }));
    expect((await check(await start({ maxAgeHours: 6 }), one)).verdict).toBe('good');
    expect((await check(await start({ maxAgeHours: 4 }), one)).verdict).toBe('unchecked');
  });

  test('past its time, but within the grace of the setting', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    server.gives('/crl', crl({ thisUpdate: later(-48 * hour), nextUpdate: later(-2 * hour) }));
    expect((await check(await start({ graceHours: 1 }), one)).verdict).toBe('unchecked');
    expect((await check(await start({ graceHours: 3 }), one)).verdict).toBe('good');
  });
});

describe('what is not fetched', () => {
  test('anything, where fetching is off; what is missing is said', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    server.gives('/crl', crl());
    const report = await check(await start({ fetch: false }), one);
    expect(report.verdict).toBe('unchecked');
    expect(words(report)).toContain('Nothing is fetched here');
    expect(server.asked).toEqual([]);
  });

  test('what a certificate below an unknown CA names', async () => {
    const stranger = makeCa('Stranger');
    const one = makeCertificate({
      ...{ subject: 'Below', issuer: 'Stranger', key: ecKey('Below'), issuerKey: ecKey('Stranger') },
      extensions: [
        authorityInfoAccess(server.url('/ocsp')),
        cRLDistributionPoints({ uri: server.url('/crl') }),
      ],
    });
    const { checker, standing } = await start();
    const report = await checker.check({ path: [one, stranger], crls: [], pool: [], at: now });
    expect(report.verdict).toBe('unchecked');
    expect(await standing.of(one, [stranger])).toEqual({ kind: 'no-path' });
    expect(server.asked).toEqual([]);
  });

  test('ldap and other kinds, which are named', async () => {
    const report = await check(await start(), subscriber({ crl: ['ldap://127.0.0.1/cn=x'] }));
    expect(words(report)).toContain('of a kind that is not fetched (ldap:)');
    const file = await check(await start(), subscriber({ crl: ['file:///etc/passwd'] }));
    expect(words(file)).toContain('(file:)');
  });

  test('anything, where the certificate names no place', async () => {
    const report = await check(await start(), subscriber({}));
    expect(report.verdict).toBe('unchecked');
    expect(words(report)).toContain('names no place');
  });

  test('one kind, where the setting asks for the other', async () => {
    const one = subscriber({ ocsp: [server.url('/ocsp')], crl: [server.url('/crl')] });
    server.gives('/ocsp', ocsp({ certificate: one })).gives('/crl', crl());
    await check(await start({ sources: 'crl' }), one);
    expect(server.times('/ocsp')).toBe(0);
    await check(await start({ sources: 'ocsp' }), one);
    expect([server.times('/ocsp'), server.times('/crl')]).toEqual([1, 1]);
    await check(await start({ sources: 'crl-first' }), one);
    expect([server.times('/ocsp'), server.times('/crl')]).toEqual([1, 2]);
  });
});

describe('how often', () => {
  test('a hundred questions at once are one flight', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    server.gives('/crl', crl());
    const revocation = await start();
    const reports = await Promise.all(Array.from({ length: 100 }, () => check(revocation, one)));
    expect(reports.every(({ verdict }) => verdict === 'good')).toBe(true);
    expect(server.times('/crl')).toBe(1);
  });

  test('a place that failed is left alone for a while, longer each time', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    const revocation = await start();
    const asked: number[] = [];
    for (const seconds of [0, 59, 61, 61 + 119, 61 + 121]) {
      revocation.time.now = new Date(now.getTime() + seconds * 1000);
      expect(words(await check(revocation, one))).toContain('HTTP status 404');
      asked.push(server.times('/crl'));
    }
    expect(asked).toEqual([1, 1, 2, 2, 3]);
    server.gives('/crl', crl());
    revocation.time.now = later(hour);
    expect((await check(revocation, one)).verdict).toBe('good');
  });

  test('while a place that failed is left alone, what it gave before has still not been renewed: it may be later', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    const revocation = await start();
    server.gives('/crl', crl());
    expect(await revocation.standing.of(one)).toEqual({ kind: 'good' });
    server.on('/crl', (_request, _body, response) => response.writeHead(503).end());
    for (const seconds of [0, 1, 59]) {
      revocation.time.now = later(25 * hour + seconds * 1000);
      // Where nothing could be had later either, a rule with if-possible would let the mail go out readable.
      expect(await revocation.standing.of(one)).toMatchObject({ kind: 'unchecked', mayPass: true });
      expect(words(await check(revocation, one))).toContain('HTTP status 503');
    }
    expect(server.times('/crl')).toBe(2);
  });

  test('newer evidence is fetched ahead, and nobody waits for it', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    server.gives('/crl', crl({ thisUpdate: now, nextUpdate: later(8 * hour) }));
    const revocation = await start();
    await check(revocation, one);
    revocation.time.now = later(7 * hour);
    const held = Promise.withResolvers<void>();
    const came = Promise.withResolvers<void>();
    server.on('/crl', async (_request, _body, response) => {
      came.resolve();
      await held.promise;
      response.end(crl({ thisUpdate: later(7 * hour), nextUpdate: later(15 * hour) }));
    });
    expect((await check(revocation, one)).freshUntil).toEqual(later(8 * hour));
    await came.promise;
    held.resolve();
    revocation.time.now = later(9 * hour);
    expect((await check(revocation, one)).freshUntil).toEqual(later(15 * hour));
    expect(server.times('/crl')).toBe(2);
  });

  test('a delta that could not be had is fetched for the next question; the complete list answers this one', async () => {
    const one = subscriber({ crl: [server.url('/crl')] }, [freshestCRL({ uri: server.url('/delta') })]);
    server.gives('/crl', crl({ number: 5 }));
    const revocation = await start();
    expect((await check(revocation, one)).verdict).toBe('good');
    const entries = [{ serial: serialOf(one), reason: 1 }];
    server.gives('/delta', crl({ number: 6, base: 5, entries }));
    revocation.time.now = new Date(now.getTime() + 61_000);
    expect((await check(revocation, one)).verdict).toBe('good');
    const fetched = () => revocation.events.filter(({ event }) => event === 'revocation.fetched').length;
    while (fetched() < 2) await new Promise((resolve) => setImmediate(resolve));
    expect((await check(revocation, one)).verdict).toBe('revoked');
    expect([server.times('/crl'), server.times('/delta')]).toEqual([1, 2]);
  });

  test('after a restart what was kept is asked first, however it got there it is judged again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealgate-revocation-'));
    try {
      const file = join(folder, 'revocation.sqlite');
      const one = subscriber({ ocsp: [server.url('/ocsp')] });
      const two = subscriber({ crl: [server.url('/crl')] });
      server
        .gives('/ocsp', ocsp({ certificate: one }))
        .gives('/crl', crl({ entries: [{ serial: serialOf(two) }] }));
      const first = await open(server.port, {}, { file });
      await check(first, one);
      await check(first, two);
      await first.close();
      const second = await open(server.port, {}, { file });
      expect((await check(second, one)).verdict).toBe('good');
      expect((await check(second, two)).verdict).toBe('revoked');
      await second.close();
      expect(server.asked).toHaveLength(2);
      const third = await open(server.port, { fetch: false }, { file });
      third.time.now = later(25 * hour);
      expect((await check(third, two)).verdict).toBe('unchecked');
      await third.close();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('the cache file keeps to its size, and one that is damaged stops nobody', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealgate-revocation-'));
    try {
      const file = join(folder, 'revocation.sqlite');
      const octets = crl().length;
      const first = await open(server.port, { cacheSize: 3 * octets + 100 }, { file });
      const places = Array.from({ length: 6 }, (_, i) => `/crl-${i}`);
      for (const path of places) {
        first.time.now = new Date(first.time.now.getTime() + 1000);
        server.gives(path, crl());
        await check(first, subscriber({ crl: [server.url(path)] }));
      }
      await first.close();
      const second = await open(server.port, {}, { file });
      for (const path of places) await check(second, subscriber({ crl: [server.url(path)] }));
      await second.close();
      expect(places.map((path) => server.times(path))).toEqual([2, 2, 2, 1, 1, 1]);
      const broken = await open(server.port, {}, { file: folder });
      expect((await check(broken, subscriber({ crl: [server.url('/crl-0')] }))).verdict).toBe('good');
      expect(broken.events[0]).toMatchObject({ event: 'revocation.cache-failed' });
      await broken.close();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('how long', () => {
  test('what there was no time to ask, or a defect kept from being asked, may be known later', async () => {
    const one = subscriber({ ocsp: [server.url('/ocsp')], crl: [server.url('/crl')] });
    const late = await start({}, { deadline: () => AbortSignal.abort() });
    expect(await late.standing.of(one)).toMatchObject({ kind: 'unchecked', mayPass: true });
    expect(words(await check(late, one))).toContain('There was no time left to ask.');
    const defect = await start({}, { deadline: () => ({}) as AbortSignal });
    expect(await defect.standing.of(one)).toMatchObject({ kind: 'unchecked', mayPass: true });
    expect(defect.events).toContainEqual(expect.objectContaining({ event: 'gateway.defect' }));
  });

  test('a server that hangs: the question ends in its time, and what comes later is kept', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    const came = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    server.on('/crl', async (_request, _body, response) => {
      came.resolve();
      await held.promise;
      response.end(crl());
    });
    const late = new AbortController();
    const never = new AbortController();
    const deadline = (ms: number) => (ms <= 20_000 ? late.signal : never.signal);
    const revocation = await start({}, { deadline });
    const asking = check(revocation, one);
    await came.promise;
    late.abort();
    const report = await asking;
    expect(report.verdict).toBe('unchecked');
    expect(words(report)).toContain('did not answer in time');
    held.resolve();
    const second = await start({}, { deadline: () => never.signal });
    expect((await check(second, one)).verdict).toBe('good');
  });

  test('a fetch that takes too long is ended', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    const came = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    server.on('/crl', (request, _body, response) => {
      response.write(crl().subarray(0, 20));
      request.socket.once('close', () => gone.resolve());
      came.resolve();
    });
    const ended = new AbortController();
    const never = new AbortController();
    const revocation = await start({}, { deadline: (ms) => (ms > 20_000 ? ended.signal : never.signal) });
    const asking = check(revocation, one);
    await came.promise;
    ended.abort();
    expect(words(await asking)).toContain('did not answer in time');
    await gone.promise;
  });

  test('closing ends what is under way', async () => {
    const one = subscriber({ crl: [server.url('/crl')] });
    const came = Promise.withResolvers<void>();
    server.on('/crl', () => came.resolve());
    const revocation = await start();
    const asking = check(revocation, one);
    await came.promise;
    await revocation.close();
    expect((await asking).verdict).toBe('unchecked');
  });
});
