import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addressKey } from '../../../src/directory/address-key.ts';
import {
  type HttpStoreSettings,
  HttpStoreSource,
} from '../../../src/directory/http-store/http-store-source.ts';
import { makeCa } from '../../pki/make-certificate.ts';
import { certificateFor } from '../../support/certificate.ts';
import { correspondent } from '../correspondent.ts';
import { certsOnly } from '../ldap/certs-only.ts';

const NOW = new Date('2026-06-01T00:00:00Z');
const BOB = 'bob@partner.example';
const bob = correspondent();
const second = correspondent({ serial: 2, notBefore: new Date('2026-01-01T00:00:00Z') });
const carol = correspondent({ mailboxes: ['carol@partner.example'], key: 'carol' });
const ca = makeCa('Partner CA');

const asked: IncomingMessage[] = [];
let answer: RequestListener;
const gives = (contentType: string, body: Buffer | string, status = 200) => {
  answer = (_, response) => void response.writeHead(status, { 'content-type': contentType }).end(body);
};
const redirects = (to: (request: IncomingMessage) => string) => {
  answer = (request, response) => void response.writeHead(302, { location: to(request) }).end();
};

const handle = (request: IncomingMessage, response: ServerResponse) => {
  asked.push(request);
  answer(request, response);
};
const material = certificateFor('localhost');
const pem = { cert: material.cert, key: readFileSync(join(material.file, '..', 'key.pem')) };
material.remove();
let server: ReturnType<typeof createServer>;
let secure: ReturnType<typeof createSecureServer>;
const portOf = (one: { address(): unknown }) => (one.address() as AddressInfo).port;

beforeEach(async () => {
  asked.length = 0;
  server = createServer(handle);
  secure = createSecureServer(pem, handle);
  for (const one of [server, secure]) {
    await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', () => resolve()));
  }
});
afterEach(async () => {
  for (const one of [server, secure]) {
    one.closeAllConnections();
    await new Promise((resolve) => one.close(resolve));
  }
});

type Changed = Partial<Omit<HttpStoreSettings, 'url'>> & { url?: string; ca?: string; leadsTo?: string };
function source({ url, ca: authority, leadsTo, ...changed }: Changed = {}): HttpStoreSource {
  const settings: HttpStoreSettings = {
    ...{ name: 'store', url: new URL(url ?? `http://127.0.0.1:${portOf(server)}/search`) },
    tls: createSecureContext(authority === undefined ? {} : { ca: authority }),
    ...{ allowAddresses: [], domains: null, trust: 'directory', optional: false, timeoutMs: 5_000 },
    ...changed,
  };
  const resolve = leadsTo === undefined ? {} : { resolve: async () => [{ address: leadsTo, family: 4 }] };
  return new HttpStoreSource(settings, { clock: () => NOW, postQuantum: false, ...resolve });
}

async function ask(changed: Changed = {}, address = BOB) {
  const key = addressKey(address);
  if (key === null) throw new Error(`${address} is no address`);
  return source(changed).ask(key, new AbortController().signal);
}
const found = async (changed: Changed = {}) =>
  (await ask(changed)).certificates.map(({ fingerprint }) => fingerprint);
const failure = (changed: Changed = {}) =>
  ask(changed).then(
    () => 'answered',
    ({ code, reason }: { code: string; reason: string }) => `${code}: ${reason}`,
  );

const part = (head: string, body: Buffer | string) =>
  Buffer.concat([Buffer.from(`--b\r\n${head}\r\n\r\n`), Buffer.from(body), Buffer.from('\r\n')]);
const DER = 'Content-Type: application/pkix-cert\r\nContent-Transfer-Encoding: binary';

describe('a store gives', () => {
  test.each<[string, string, () => Buffer | string, readonly string[]]>([
    ['one certificate', 'application/pkix-cert', () => bob.der, [bob.fingerprint]],
    ['one under another media type', 'application/octet-stream', () => bob.der, [bob.fingerprint]],
    ['SignedData with certificates', 'application/pkcs7-mime', () => certsOnly([bob, ca]), [bob.fingerprint]],
    [
      'several, in parts',
      'Multipart/Mixed; boundary="b"',
      () =>
        Buffer.concat([
          ...[part(DER, bob.der), part(DER, second.der), part(DER, 'rubbish')],
          part(
            'Content-Type: application/pkix-cert\r\nContent-Transfer-Encoding: base64',
            carol.der.toString('base64'),
          ),
          Buffer.from('--b--\r\n'),
        ]),
      [second.fingerprint, bob.fingerprint],
    ],
    ['that of somebody else, which is not taken', 'application/pkix-cert', () => carol.der, []],
  ])('%s', async (_, type, body, expected) => {
    gives(type, body());
    expect(await found()).toEqual(expected);
  });

  test('authorities beside it, as a chain', async () => {
    gives('application/pkcs7-mime', certsOnly([bob, ca]));
    expect((await ask()).chain.map(({ fingerprint }) => fingerprint)).toEqual([ca.fingerprint]);
  });

  test('nothing, which is an answer', async () => {
    gives('text/plain', 'nobody', 404);
    expect(await ask()).toEqual({ certificates: [], chain: [], passedOver: 0 });
  });
});

describe('it is asked', () => {
  test.each([
    ['bob@partner.example', '/search?email=bob%40partner.example'],
    ['"a&b=c d"@partner.example', '/search?email=%22a%26b%3Dc%20d%22%40partner.example'],
    ["o'neill+*!@partner.example", '/search?email=o%27neill%2B%2A%21%40partner.example'],
    ['é@bücher.example', '/search?email=%C3%A9%40xn--bcher-kva.example'],
  ])('for %s, which is never more than a value', async (address, path) => {
    gives('text/plain', '', 404);
    await ask({}, address);
    expect(asked.map(({ method, url }) => [method, url])).toEqual([['GET', path]]);
    expect(asked[0]?.headers).not.toHaveProperty('cookie');
  });

  test('beside what its place says already', async () => {
    gives('text/plain', '', 404);
    await ask({ url: `http://127.0.0.1:${portOf(server)}/find.cgi?base=people` });
    expect(asked[0]?.url).toBe('/find.cgi?base=people&email=bob%40partner.example');
  });

  test('by TLS, with a certificate that its own authorities vouch for and that names it', async () => {
    gives('application/pkix-cert', bob.der);
    const at = (host: string) => ({ url: `https://${host}:${portOf(secure)}/` });
    const authority = pem.cert.toString();
    expect(await found({ ...at('localhost'), ca: authority })).toEqual([bob.fingerprint]);
    asked.length = 0;
    expect(await failure(at('localhost'))).toMatch(/cannot be reached \(.*SIGNED/);
    expect(
      await failure({
        ...at('other.example'),
        ca: authority,
        leadsTo: '127.0.0.1',
        allowAddresses: ['127.0.0.1'],
      }),
    ).toMatch(/ALTNAME_INVALID/);
    expect(asked).toEqual([]);
  });

  test('at no address of a network of ours that its name leads to, unless that is said', async () => {
    gives('application/pkix-cert', bob.der);
    const named = { url: `http://store.example:${portOf(server)}/`, leadsTo: '127.0.0.1' };
    expect(await failure(named)).toMatch(/no address that may be asked/);
    expect(asked).toEqual([]);
    expect(await found({ ...named, allowAddresses: ['127.0.0.0/8'] })).toEqual([bob.fingerprint]);
  });

  test('only for the domains that are configured', () => {
    const covers = (address: string) => {
      const key = addressKey(address);
      return key !== null && source({ domains: ['*.example'] }).covers(key);
    };
    expect([BOB, 'x@elsewhere.test'].map(covers)).toEqual([true, false]);
  });
});

describe('a redirect', () => {
  test('is followed within the host', async () => {
    answer = (request, response) => {
      if (request.url?.startsWith('/search')) response.writeHead(302, { location: '/there?x=1' }).end();
      else response.end(bob.der);
    };
    expect(await found()).toEqual([bob.fingerprint]);
    expect(asked.map(({ url }) => url)).toEqual(['/search?email=bob%40partner.example', '/there?x=1']);
  });

  test.each([
    ['another host', () => `http://localhost:${portOf(server)}/`],
    ['another port', () => `http://127.0.0.1:${portOf(secure)}/`],
    ['a file', () => 'file:///etc/passwd'],
    ['a place with a login', () => `http://x:y@127.0.0.1:${portOf(server)}/`],
    ['no URL', () => 'http://['],
  ])('is not followed to %s', async (_, to) => {
    redirects(to);
    expect(await failure()).toMatch(/^directory\.http-answer: it redirects to another place/);
    expect(asked).toHaveLength(1);
  });

  test('is not followed from TLS to a place without, nor for ever', async () => {
    redirects(() => `http://localhost:${portOf(secure)}/`);
    const at = { url: `https://localhost:${portOf(secure)}/`, ca: pem.cert.toString() };
    expect(await failure(at)).toMatch(/another place/);
    asked.length = 0;
    redirects(() => '/again');
    expect(await failure()).toMatch(/redirects too often/);
    expect(asked).toHaveLength(4);
  });
});

describe('no answer', () => {
  test.each<[string, () => void, RegExp]>([
    [
      'is a page in place of a certificate',
      () => gives('text/html', '<html>Log in</html>'),
      /no certificate in it/,
    ],
    [
      'is a multipart without certificates',
      () => gives('multipart/mixed; boundary=b', '--b\r\n\r\nx\r\n--b--'),
      /no certificate in it/,
    ],
    ['is a multipart without a boundary', () => gives('multipart/mixed', bob.der), /no certificate in it/],
    ['is nothing', () => gives('application/pkix-cert', ''), /no certificate in it/],
    ['is another status', () => gives('text/plain', '', 500), /status 500/],
    ['is a login that is wanted', () => gives('text/plain', '', 401), /status 401/],
    [
      'is too much',
      () => gives('application/pkix-cert', Buffer.alloc(1024 * 1024 + 1)),
      /more than 1048576 octets/,
    ],
    [
      'is what is compressed',
      () => {
        answer = (_, response) =>
          void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(bob.der));
      },
      /encoding that was not asked for/,
    ],
    [
      'is what ends early',
      () => {
        answer = (_, response) => {
          response.writeHead(200, { 'content-length': '1000' });
          response.write(bob.der.subarray(0, 10), () => response.destroy());
        };
      },
      /cannot be reached|ended/,
    ],
  ])('%s', async (_, set, reason) => {
    set();
    const said = await failure();
    expect(said).toMatch(/^directory\.http-answer: /);
    expect(said).toMatch(reason);
  });

  test('is nobody there, or one who says nothing in time', async () => {
    expect(await failure({ url: 'http://127.0.0.1:1/' })).toMatch(/ECONNREFUSED/);
    answer = () => undefined;
    const key = addressKey(BOB);
    if (key === null) throw new Error('it is an address');
    await expect(source().ask(key, AbortSignal.timeout(100))).rejects.toMatchObject({
      reason: 'it did not answer in time.',
    });
  });
});
