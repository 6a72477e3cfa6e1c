import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { tlsContext } from '../../src/connections/tls-context.ts';
import { SealgateError } from '../../src/errors.ts';
import { type HttpListener, type HttpListenerOptions, startHttpListener } from '../../src/http/listener.ts';
import type { HttpRequest, Route } from '../../src/http/message.ts';
import { limits } from '../../src/limits.ts';
import type { Event } from '../../src/log/events.ts';
import { requireCommand } from '../support/require-command.ts';
import { startHaproxy } from '../support/services/haproxy.ts';
import { services } from '../support/services/services.ts';

let open: HttpListener[] = [];
afterEach(async () => {
  for (const listener of open) await listener.close();
  open = [];
});

type Started = { port: number; asked: HttpRequest[]; events: Event[]; lines: Event[] };

async function start(options: Partial<HttpListenerOptions> = {}): Promise<Started> {
  const asked: HttpRequest[] = [];
  const events: Event[] = [];
  const lines: Event[] = [];
  const said = async (request: HttpRequest) => {
    asked.push(request);
    return { status: 200, contentType: 'text/plain; charset=utf-8', body: 'Grüße' };
  };
  const routes: Route[] = [
    { path: '/page/:name', get: said, post: said },
    { path: '/page/fixed', get: async () => ({ status: 200, contentType: 'text/plain', body: 'fixed' }) },
    {
      path: '/away',
      get: () =>
        Promise.reject(new SealgateError({ code: 'x.y', publicText: 'Not now.', duration: 'temporary' })),
    },
    { path: '/defect', get: () => Promise.reject(new Error('the secret of /defect')) },
    {
      path: '/never',
      get(request) {
        asked.push(request);
        return new Promise(() => undefined);
      },
    },
  ];
  const listener = await startHttpListener({
    ...{ name: 'web', host: '127.0.0.1', port: 0, tls: 'none', routes },
    ...{ maxConnections: 100, maxConnectionsPerAddress: 100, unlimitedNetworks: [], proxyProtocolFrom: [] },
    log: { write: (event) => (event.event === 'http.answered' ? lines : events).push(event) },
    ...options,
  });
  open.push(listener);
  return { port: listener.port, asked, events, lines };
}

/** However it ends: what is still on its way to a server that has closed comes back as a reset. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

/** Everything that the server says to these octets, until it closes the connection. */
async function say(port: number, octets: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(octets);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString();
  });
  await closed(socket);
  return answer;
}

const get = (target: string, fields = 'Host: gateway.example\r\n') =>
  `GET ${target} HTTP/1.1\r\n${fields}\r\n`;
const post = (body: string, fields = '') =>
  `POST /page/x HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;
const status = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);

test('answers, with everything that keeps a page to itself, and closes', async () => {
  const { port, asked } = await start();
  const answer = await say(port, get('/page/a%20b?x=1&x=2'));
  expect(asked).toEqual([
    {
      ...{ method: 'GET', segments: { name: 'a b' }, form: [], network: '127.0.0.1' },
      query: [
        ['x', '1'],
        ['x', '2'],
      ],
    },
  ]);
  const [head = '', body] = answer.split('\r\n\r\n');
  expect(body).toBe('Grüße');
  for (const field of [
    'content-length: 7',
    'cache-control: no-store',
    'referrer-policy: no-referrer',
    'x-frame-options: DENY',
    'x-content-type-options: nosniff',
    'connection: close',
  ]) {
    expect(head.toLowerCase().split('\r\n')).toContain(field.toLowerCase());
  }
  expect(head).toMatch(/content-security-policy: default-src 'none';.* frame-ancestors 'none'/);
  expect(head).not.toMatch(/^(server|x-powered-by|set-cookie|strict-transport-security|keep-alive):/im);
});

test('a place of fixed words goes before a name; HEAD is a GET without its body', async () => {
  const { port } = await start();
  expect(await say(port, get('/page/fixed'))).toMatch(/\r\n\r\nfixed$/);
  const head = await say(port, get('/page/y').replace('GET', 'HEAD'));
  expect(head).toMatch(/^HTTP\/1\.1 200 [\s\S]*content-length: 7\r\n[\s\S]*\r\n\r\n$/);
});

test('a form is read', async () => {
  const { port, asked } = await start();
  expect(status(await say(port, post('a=1&b=%C3%A9+x')))).toBe(200);
  expect(asked[0]?.form).toEqual([
    ['a', '1'],
    ['b', 'é x'],
  ]);
});

test('what fails is said without what it was; a defect is logged', async () => {
  const { port, events } = await start();
  expect(await say(port, get('/away'))).toMatch(/^HTTP\/1\.1 503 [\s\S]*Not now\./);
  const defect = await say(port, get('/defect'));
  expect(defect).toMatch(/^HTTP\/1\.1 500 /);
  expect(defect).not.toContain('secret');
  expect(events.map(({ event }) => event)).toEqual(['gateway.defect']);
});

test('of a request the log has the place, and nothing of what stands in the address', async () => {
  const { port, lines } = await start();
  await say(port, get('/page/secret?x=secret'));
  await say(port, get('/secret'));
  expect(lines).toMatchObject([
    { listener: 'web', remote: '127.0.0.1', method: 'GET', place: '/page/:name', status: 200 },
    { place: null, status: 404 },
  ]);
  expect(JSON.stringify(lines)).not.toContain('secret');
});

describe('attacks', () => {
  test.each<[what: string, octets: string, status: number]>([
    ['another place', get('/nothing'), 404],
    ['out of the tree', get('/page/../../etc/passwd'), 400],
    ['absolute form', get('http://evil.example/page/x'), 400],
    ['no Host', get('/page/x', ''), 400],
    ['two Hosts', get('/page/x', 'Host: a\r\nHost: b\r\n'), 400],
    ['another method', get('/page/x').replace('GET', 'DELETE'), 405],
    ['TRACE', get('/page/x').replace('GET', 'TRACE'), 405],
    ['OPTIONS *', get('*').replace('GET', 'OPTIONS'), 405],
    ['POST where nothing is to be sent', post('a=b').replace('/page/x', '/away'), 405],
    ['smuggling: both lengths', post('a=b', 'Transfer-Encoding: chunked\r\n'), 400],
    [
      'smuggling: chunked',
      `${post('', 'Transfer-Encoding: chunked\r\n').replace(/Content-Length.*\r\n/, '')}0\r\n\r\n`,
      411,
    ],
    ['smuggling: two lengths', post('a=b', 'Content-Length: 4\r\n'), 400],
    ['smuggling: a length with a sign', post('a=b').replace('Length: 3', 'Length: +3'), 400],
    ['smuggling: a blank before the colon', get('/page/x', 'Host: a\r\nContent-Length : 5\r\n'), 400],
    ['smuggling: bare LF', 'GET /page/x HTTP/1.1\nHost: a\n\n', 400],
    ['smuggling: a folded field', get('/page/x', 'Host: a\r\nX: 1\r\n 2\r\n'), 400],
    ['a GET with a body', get('/page/x', 'Host: a\r\nContent-Length: 3\r\n'), 400],
    ['a control character in a field', get('/page/x', 'Host: a\r\nX: \0\r\n'), 400],
    ['HTTP/2 without TLS', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['a TLS handshake where there is none', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', 400],
    ['JSON', post('{}').replace('x-www-form-urlencoded', 'json'), 415],
    ['a form with raw octets', post('a=\x01'), 400],
    ['a form of nothing', 'POST /page/x HTTP/1.1\r\nHost: h\r\n\r\n', 411],
    ['a form from another site', post('a=b', 'Sec-Fetch-Site: cross-site\r\n'), 403],
    ['a form from a neighbour', post('a=b', 'Sec-Fetch-Site: same-site\r\n'), 403],
    ['huge fields', get('/page/x', `Host: a\r\nX: ${'x'.repeat(limits.http.headerOctets)}\r\n`), 431],
    ['a huge target', get(`/page/${'x'.repeat(limits.http.headerOctets)}`), 431],
    ['very many fields', get('/page/x', `Host: a\r\n${'X:\r\n'.repeat(4_000)}`), 431],
  ])('%s', async (_, octets, expected) => {
    const { port, asked, events } = await start();
    const answer = await say(port, octets);
    expect(status(answer)).toBe(expected);
    expect(answer).toContain("frame-ancestors 'none'");
    expect([asked, events]).toEqual([[], []]);
  });

  test('a form that is too long is refused before it comes', async () => {
    const { port, asked } = await start();
    expect(
      status(await say(port, post('').replace('Length: 0', `Length: ${limits.http.formOctets + 1}`))),
    ).toBe(413);
    expect(asked).toEqual([]);
  });

  test('a second request on the connection is never answered as one', async () => {
    const { port, asked } = await start();
    const answer = await say(port, get('/page/one') + get('/page/two'));
    expect(asked.length).toBeLessThanOrEqual(1);
    expect(answer.match(/HTTP\/1\.1 200/g) ?? []).toHaveLength(asked.length);
    const behind = await say(port, post('a=b') + get('/page/two'));
    expect(asked.filter(({ segments }) => segments.name === 'two')).toEqual([]);
    expect(behind.match(/HTTP\/1\.1 200/g)).toHaveLength(1);
  });

  test.each<[what: string, octets: string]>([
    ['says nothing', ''],
    ['stops in its header', 'GET /page/x HTTP/1.1\r\nHost: '],
    ['stops in its form', post('a=b').slice(0, -1)],
    ['waits for an answer that does not come', get('/never')],
  ])('a client that %s has its time and no more', async (_, octets) => {
    const { port } = await start({ times: { requestMs: 50, answerMs: 50 } });
    expect(await say(port, octets)).toBe('');
  });

  test('slow loris: octet after octet does not make it longer', async () => {
    const { port, asked } = await start({ times: { requestMs: 100, answerMs: 100 } });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    const timer = setInterval(() => socket.write('x'), 5);
    socket.write('GET /page/');
    await closed(socket);
    clearInterval(timer);
    expect(asked).toEqual([]);
  });

  test('one address takes so many places', async () => {
    const { port, events } = await start({ maxConnectionsPerAddress: 2 });
    const idle = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    for (const socket of idle) {
      socket.on('error', () => undefined);
      await once(socket, 'connect');
    }
    await expect.poll(async () => await say(port, get('/page/x'))).toBe('');
    expect(events.map(({ event }) => event)).toContain('listener.too-many-connections');
    for (const socket of idle) socket.destroy();
  });
});

test('behind a load balancer the client is who it says, and what comes in the same packet is read', async () => {
  const { port, asked } = await start({
    proxyProtocolFrom: ['127.0.0.1'],
    unlimitedNetworks: ['198.51.100.0/24'],
  });
  const from = (address: string) => `PROXY TCP4 ${address} 127.0.0.1 4711 443\r\n${get('/page/x')}`;
  for (const address of ['192.0.2.7', '198.51.100.7'])
    expect(status(await say(port, from(address)))).toBe(200);
  expect(asked.map(({ network }) => network)).toEqual(['192.0.2.7', null]);
});

test('behind HAProxy, which keeps its clients’ connections and reads their requests', async () => {
  const { port, asked } = await start({ proxyProtocolFrom: ['127.0.0.1'] });
  const haproxy = await startHaproxy([{ to: port, header: 'send-proxy-v2', mode: 'http' }]);
  try {
    const place = `http://127.0.0.1:${haproxy.ports[0]}/page`;
    const curl = await requireCommand('curl');
    const { stdout } = await promisify(execFile)(curl, ['-sS', `${place}/one`, `${place}/two`]);
    expect(stdout).toBe('GrüßeGrüße');
    expect(asked.map(({ network, segments }) => [network, segments.name])).toEqual([
      ['127.0.0.1', 'one'],
      ['127.0.0.1', 'two'],
    ]);
  } finally {
    await haproxy.stop();
  }
});

describe('with TLS', () => {
  test('curl gets its page, and browsers are told to stay with TLS; who speaks none gets nothing', async () => {
    await using pki = await services.pki();
    const { port } = await start({
      tls: 'implicit',
      secureContext: tlsContext(await pki.issueServer(), false),
    });
    const curl = await requireCommand('curl');
    const { stdout } = await promisify(execFile)(curl, [
      ...['-sS', '-i', '--cacert', pki.ca.certificateFile, '--resolve', `localhost:${port}:127.0.0.1`],
      ...['--data-urlencode', 'a=ü&b', `https://localhost:${port}/page/x`],
    ]);
    expect(stdout).toMatch(/^HTTP\/1\.1 200 [\s\S]*strict-transport-security: max-age=/);
    expect(stdout).toMatch(/Grüße$/);
    expect(await say(port, get('/page/x'))).not.toContain('HTTP');
    const silent = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(silent, 'secureConnect');
    silent.destroy();
  });
});

test('closing ends what is going on', async () => {
  const { port, asked } = await start();
  const waiting = say(port, get('/never'));
  await expect.poll(() => asked.length).toBe(1);
  await open.pop()?.close();
  expect(await waiting).toBe('');
});
