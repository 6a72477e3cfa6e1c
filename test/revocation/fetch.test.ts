import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AddressGuard } from '../../src/connections/address-guard.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { type FetchRules, fetchOctets } from '../../src/revocation/fetch.ts';
import { placeForPeople, placeOf } from '../../src/revocation/place.ts';
import { Loopback } from './support/loopback.ts';

let server: Loopback;
const live = new AbortController().signal;

beforeEach(async () => {
  server = await Loopback.start();
});

afterEach(async () => {
  await server.close();
});

function rules(changes: Partial<FetchRules> = {}): FetchRules {
  return { guard: new AddressGuard(['127.0.0.1']), ports: new Set([80, 443, server.port]), ...changes };
}

function get(url: string, changes: Partial<FetchRules> = {}, maxOctets = 1000) {
  const request = { url: new URL(url), body: null, accept: '*/*', maxOctets, signal: live };
  return fetchOctets(request, rules(changes));
}

const failure = (text: string) => ({ kind: 'failed', text: expect.stringContaining(text) });

describe('where a fetch goes', () => {
  test('not to this machine or its networks, unless an operator says so', async () => {
    server.gives('/x', Buffer.from('secret'));
    const strict = { guard: new AddressGuard() };
    for (const host of [
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f000001',
      '[::ffff:127.0.0.1]',
      'localhost',
      '0.0.0.0',
    ]) {
      const answer = await get(`http://${host}:${server.port}/x`, strict);
      expect(answer, host).toEqual(failure('no address that may be asked'));
    }
    expect(server.asked).toEqual([]);
    expect(await get(server.url('/x'))).toEqual({ kind: 'fetched', octets: Buffer.from('secret') });
  });

  test('to the address that was judged, although the name leads elsewhere a moment later', async () => {
    let asked = 0;
    const resolve = async () => [{ address: ++asked === 1 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
    server.gives('/x', Buffer.from('ours'));
    const answer = await get(`http://rebinding.example:${server.port}/x`, { resolve });
    expect(answer).toEqual({ kind: 'fetched', octets: Buffer.from('ours') });
    expect(asked).toBe(1);
    expect(server.asked[0]?.headers.host).toBe(`rebinding.example:${server.port}`);
  });

  test('of several addresses of a name only to those that may be asked', async () => {
    const resolve = async () => [
      { address: '10.0.0.1', family: 4 },
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ];
    server.gives('/x', Buffer.from('ours'));
    const url = `http://several.example:${server.port}/x`;
    expect(await get(url, { resolve })).toMatchObject({ kind: 'fetched' });
    const none = { resolve, guard: new AddressGuard() };
    expect(await get(url, none)).toEqual(failure('no address that may be asked'));
  });

  test('not along a redirect to a private address, to another port, or to another kind of place', async () => {
    for (const [location, why] of [
      [`http://10.0.0.1:${server.port}/`, 'no address that may be asked'],
      [`http://[::1]:${server.port}/`, 'no address that may be asked'],
      ['http://127.0.0.1:1/', 'has a port that is not allowed (1)'],
      ['file:///etc/passwd', 'not fetched (file:)'],
      ['http://user:word@127.0.0.1/', 'has a login in it'],
    ] as const) {
      server.on('/from', (_request, _body, response) => response.writeHead(302, { location }).end());
      expect(await get(server.url('/from')), location).toEqual(failure(why));
    }
  });

  test('along a few redirects, and not in circles', async () => {
    server.on('/a', (_request, _body, response) => response.writeHead(301, { location: '/b' }).end());
    server.gives('/b', Buffer.from('there'));
    expect(await get(server.url('/a'))).toMatchObject({ kind: 'fetched' });
    server.on('/b', (_request, _body, response) => response.writeHead(302, { location: '/a' }).end());
    expect(await get(server.url('/a'))).toEqual(failure('redirects too often'));
  });

  test('a name that does not exist, a port where nobody listens', async () => {
    const resolve = () => Promise.reject(Object.assign(new Error('secret detail'), { code: 'ENOTFOUND' }));
    expect(await get(`http://nobody.example:${server.port}/`, { resolve })).toEqual({
      kind: 'failed',
      text: 'cannot be reached (ENOTFOUND).',
    });
    const gone = await Loopback.start();
    const { port } = gone;
    await gone.close();
    const answer = await get(`http://127.0.0.1:${port}/`, { ports: new Set([port]) });
    expect(answer).toEqual(failure('cannot be reached (ECONNREFUSED)'));
  });
});

describe('a proxy of the environment', () => {
  test('is not used', async () => {
    server.gives('/x', Buffer.from('ours'));
    const proxy = await Loopback.start();
    const here = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
    const program = `
      import { fetchOctets } from ${here('revocation/fetch.ts')};
      import { AddressGuard } from ${here('connections/address-guard.ts')};
      const request = { url: new URL(${JSON.stringify(server.url('/x'))}), body: null, accept: '*/*', maxOctets: 100 };
      const rules = { guard: new AddressGuard(['127.0.0.1']), ports: new Set([${server.port}]) };
      const answer = await fetchOctets({ ...request, signal: new AbortController().signal }, rules);
      process.stdout.write(answer.kind === 'fetched' ? answer.octets : answer.text);`;
    const { stdout } = await runProgram(process.execPath, ['--input-type=module', '-e', program], {
      env: { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy.url('/'), http_proxy: proxy.url('/') },
    });
    expect(stdout.toString()).toBe('ours');
    expect(proxy.asked).toEqual([]);
    await proxy.close();
  });
});

describe('what a fetch takes', () => {
  test('not more octets than allowed, said or unsaid', async () => {
    server.gives('/said', Buffer.alloc(1001));
    expect(await get(server.url('/said'))).toEqual(failure('more than 1000 octets'));
    server.on('/unsaid', (_request, _body, response) => {
      response.write(Buffer.alloc(600));
      response.end(Buffer.alloc(600));
    });
    expect(await get(server.url('/unsaid'))).toEqual(failure('more than 1000 octets'));
    server.on('/endless', (_request, _body, response) => {
      const more = () => response.write(Buffer.alloc(65_536), (error) => (error ? undefined : more()));
      more();
    });
    expect(await get(server.url('/endless'))).toEqual(failure('more than 1000 octets'));
    server.gives('/just', Buffer.alloc(1000));
    expect(await get(server.url('/just'))).toMatchObject({ kind: 'fetched' });
  });

  test('nothing compressed, however small it is on the way', async () => {
    const bomb = gzipSync(Buffer.alloc(1024 * 1024));
    for (const header of ['content-encoding', 'transfer-encoding']) {
      server.on('/bomb', (_request, _body, response) => {
        response.setHeader(header, header === 'transfer-encoding' ? 'gzip, chunked' : 'gzip');
        response.end(bomb);
      });
      expect(await get(server.url('/bomb'), {}, 100_000), header).toMatchObject({ kind: 'failed' });
    }
    expect(server.asked[0]?.headers['accept-encoding']).toBe('identity');
  });

  test('nothing that ends too early, and no endless header', async () => {
    const raw = createServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345'));
      socket.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
    const address = raw.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const answer = await get(`http://127.0.0.1:${port}/`, { ports: new Set([port]) });
    expect(answer).toEqual(failure('cannot be reached'));
    await new Promise((resolve) => raw.close(resolve));
    server.on('/header', (_request, _body, response) => {
      response.setHeader('x', 'y'.repeat(20_000)).end();
    });
    expect(await get(server.url('/header'))).toEqual(failure('HPE_HEADER_OVERFLOW'));
  });

  test('nothing of a server that turns to another protocol; the fetch ends', async () => {
    const raw = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n';
      socket.once('data', () => socket.write(upgrade));
    });
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
    const address = raw.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const answer = await get(`http://127.0.0.1:${port}/`, { ports: new Set([port]) });
    expect(answer).toEqual(failure('cannot be reached'));
    await new Promise((resolve) => raw.close(resolve));
  });

  test('no status but success', async () => {
    for (const status of [201, 204, 206, 304, 403, 500]) {
      server.on('/status', (_request, _body, response) => response.writeHead(status).end());
      expect(await get(server.url('/status'))).toEqual(failure(`HTTP status ${status}`));
    }
  });

  test('no request of a signal that is aborted already', async () => {
    const request = {
      url: new URL(server.url('/x')),
      body: null,
      accept: '*/*',
      maxOctets: 10,
      signal: AbortSignal.abort(),
    };
    expect(await fetchOctets(request, rules())).toEqual(failure('did not answer in time'));
    expect(server.asked).toEqual([]);
  });
});

describe('a place in a certificate', () => {
  const ports = new Set([80, 443]);

  test.each([
    ['ldap://ldap.example/cn=x', '(ldap:)'],
    ['javascript:alert(1)', '(javascript:)'],
    ['http://crl.example:22/', 'port that is not allowed (22)'],
    ['http://name:word@crl.example/', 'has a login'],
    ['http://', 'no URL'],
    ['crl', 'no URL'],
    [`http://crl.example/${'a'.repeat(3000)}`, 'too long'],
  ])('%s is refused', (text, why) => {
    expect(placeOf(text, null, ports)).toEqual({ kind: 'refused', text: expect.stringContaining(why) });
  });

  test('is shown short and in plain characters', () => {
    expect(placeForPeople('http://x/\u{202e}\r\nSubject: ä')).toBe('http://x/???Subject:??');
    expect(placeForPeople(new URL(`http://crl.example/${'a'.repeat(500)}?secret`))).toHaveLength(101);
  });
});
