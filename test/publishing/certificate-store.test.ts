import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressKey } from '../../src/directory/address-key.ts';
import { HttpStoreSource } from '../../src/directory/http-store/http-store-source.ts';
import { startHttpListener } from '../../src/http/listener.ts';
import type { Fields, HttpAnswer } from '../../src/http/message.ts';
import { limits } from '../../src/limits.ts';
import { silentLog } from '../../src/log/log.ts';
import { CERTIFICATE_STORE_PATH, certificateStore } from '../../src/publishing/certificate-store.ts';
import { now } from '../pki/make-certificate.ts';
import { requireCommand } from '../support/require-command.ts';
import { own, peopleOf, standingOf, TestOwn } from './people.ts';

const alice = own({ address: 'alice@example.org', serial: 1 });
const bobSigns = own({
  address: 'bob@example.org',
  use: 'sign',
  serial: 2,
  notBefore: new Date(+now - 2_000),
});
const bobReads = own({
  address: 'bob@example.org',
  use: 'encrypt',
  serial: 3,
  notBefore: new Date(+now - 1_000),
});
const carol = own({ address: 'carol@example.org', serial: 4, notAfter: new Date(+now - 1_000) });
const dan = own({ address: 'dan@example.org', serial: 5 });
const all = [alice, bobSigns, bobReads, carol, dan];
const people = peopleOf(all, { standing: standingOf(new Set([dan.certificate.fingerprint])) });

function store(published = people) {
  const time = { now: 0 };
  const route = certificateStore(published, () => time.now);
  return {
    time,
    ask: (query: Fields, network: string | null = '192.0.2.1'): Promise<HttpAnswer> =>
      route.get({ method: 'GET', segments: {}, query, form: [], network }),
  };
}

const digest = ({ certificate }: typeof alice) => createHash('sha1').update(certificate.der).digest('base64');

describe('a look-up', () => {
  test('by address gives the certificate, the domain without case', async () => {
    const { ask } = store();
    for (const address of ['alice@example.org', 'alice@EXAMPLE.org', ' alice@example.org']) {
      expect(await ask([['email', address]])).toEqual({
        ...{ status: 200, contentType: 'application/pkix-cert', body: alice.certificate.der },
      });
    }
  });

  test('that finds several gives them in one multipart, the newest first', async () => {
    const { contentType, body } = await store().ask([['email', 'bob@example.org']]);
    const boundary = /^multipart\/mixed; boundary="([^"]+)"$/.exec(contentType ?? '')?.[1] ?? 'none';
    const text = Buffer.from(body).toString('latin1');
    const parts = text.split(`--${boundary}`);
    expect(parts.at(-1)).toBe('--\r\n');
    expect(parts.slice(1, -1).map((part) => part.split('\r\n\r\n')[0])).toEqual(
      Array(2).fill('\r\nContent-Type: application/pkix-cert\r\nContent-Transfer-Encoding: binary'),
    );
    const ders = parts.slice(1, -1).map((part) => part.slice(part.indexOf('\r\n\r\n') + 4, -2));
    expect(ders).toEqual([bobReads, bobSigns].map(({ certificate }) => certificate.der.toString('latin1')));
  });

  test('by digest gives that certificate, with padding or without, plus signs as they are', async () => {
    const { ask } = store();
    for (const one of [alice, bobSigns]) {
      for (const hash of [digest(one), digest(one).slice(0, -1), digest(one).replaceAll('+', ' ')]) {
        expect((await ask([['certHash', hash]])).body).toEqual(one.certificate.der);
      }
    }
  });

  test('follows the keys as they come and go', async () => {
    const list = new TestOwn([alice]);
    const { ask } = store(peopleOf(list));
    expect((await ask([['certHash', digest(bobReads)]])).status).toBe(404);
    list.replace([bobReads]);
    expect((await ask([['certHash', digest(bobReads)]])).status).toBe(200);
    expect((await ask([['email', 'alice@example.org']])).status).toBe(404);
  });
});

describe('attacks', () => {
  test.each<[what: string, query: Fields, status: number]>([
    ['nobody', [['email', 'nobody@example.org']], 404],
    ['what has expired', [['email', 'carol@example.org']], 404],
    ['what is revoked', [['email', 'dan@example.org']], 404],
    ['what is revoked, by digest', [['certHash', digest(dan)]], 404],
    ['part of an address', [['email', 'alice']], 404],
    ['a pattern', [['email', '*@example.org']], 404],
    ['nothing', [], 400],
    ['an empty address', [['email', '']], 404],
    ['an empty digest', [['certHash', '']], 404],
    [
      'several at once',
      [
        ['email', 'alice@example.org'],
        ['email', 'bob@example.org'],
      ],
      400,
    ],
    [
      'two kinds',
      [
        ['email', 'alice@example.org'],
        ['certHash', 'x'],
      ],
      400,
    ],
    ['a name', [['name', 'Alice']], 400],
    ['a property of every object', [['email', '__proto__']], 404],
  ])('%s: %j', async (_, query, status) => {
    expect((await store().ask(query)).status).toBe(status);
  });

  test('whoever tries names comes to an end; others go on, and so does it later', async () => {
    const { ask, time } = store();
    for (let i = 0; i < limits.publishing.lookups; i++) await ask([['email', `a${i}@example.org`]]);
    const refused = await ask([['email', 'alice@example.org']]);
    expect([refused.status, refused.headers]).toEqual([429, { 'retry-after': '3600' }]);
    expect((await ask([['email', 'alice@example.org']], '192.0.2.2')).status).toBe(200);
    expect((await ask([['email', 'alice@example.org']], null)).status).toBe(200);
    time.now += limits.publishing.lookupsMs;
    expect((await ask([['email', 'alice@example.org']])).status).toBe(200);
  });
});

describe('by HTTP', () => {
  let listener: Awaited<ReturnType<typeof startHttpListener>>;
  beforeAll(async () => {
    listener = await startHttpListener({
      ...{ name: 'web', host: '127.0.0.1', port: 0, tls: 'none', log: silentLog },
      ...{ maxConnections: 10, maxConnectionsPerAddress: 10, unlimitedNetworks: [], proxyProtocolFrom: [] },
      routes: [certificateStore(people, () => performance.now())],
    });
  });
  afterAll(() => listener?.close());
  const place = () => `http://127.0.0.1:${listener.port}${CERTIFICATE_STORE_PATH}`;

  test('curl gets what OpenSSL reads', async () => {
    const [curl, openssl] = [await requireCommand('curl'), await requireCommand('openssl')];
    const run = promisify(execFile);
    const { stdout } = await run(curl, ['-sSf', `${place()}?email=alice%40example.org`], {
      encoding: 'buffer',
    });
    const read = run(openssl, ['x509', '-inform', 'DER', '-noout', '-email']);
    read.child.stdin?.end(stdout);
    expect((await read).stdout).toBe('alice@example.org\n');
  });

  test('another gateway gets what it can encrypt to, of several too, and that there is none', async () => {
    const source = new HttpStoreSource(
      {
        ...{ name: 'example', url: new URL(place()), tls: null, allowAddresses: [], domains: null },
        ...{ trust: 'directory', optional: false, timeoutMs: 5_000 },
      },
      { clock: () => now, postQuantum: false },
    );
    const found = async (address: string) => {
      const key = addressKey(address);
      if (key === null) throw new Error(`${address} is no address`);
      const { certificates } = await source.ask(key, new AbortController().signal);
      return certificates.map(({ fingerprint }) => fingerprint);
    };
    expect(await found('alice@example.org')).toEqual([alice.certificate.fingerprint]);
    expect(await found('bob@example.org')).toEqual([bobReads.certificate.fingerprint]);
    expect(await found('nobody@example.org')).toEqual([]);
    // Asked too often: that is no word about whether there is one.
    while ((await fetch(`${place()}?email=x`)).status === 404);
    await expect(found('alice@example.org')).rejects.toMatchObject({ code: 'directory.http-answer' });
  });
});
