import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HttpListener, type HttpListenerOptions, startHttpListener } from '../../src/http/listener.ts';
import type { HttpAnswer, Route } from '../../src/http/message.ts';
import type { Event } from '../../src/log/events.ts';
import { certificateFor } from '../support/certificate.ts';

/** However the octets of a request are cut, whoever ends it, and when: the answer is the same, and nothing is left. */

const text = (body: string, headers = {}): HttpAnswer => ({
  ...{ status: 200, contentType: 'text/plain; charset=utf-8', body, headers },
});
const material = certificateFor('localhost');
afterAll(() => material.remove());

let tls: HttpListenerOptions['tls'];
let events: Event[];
/** Requests to `/waits`, and what answers them. */
let waiting: PromiseWithResolvers<HttpAnswer>[];
let listener: HttpListener;
let socket: Socket;
/** The TCP connections under TLS. */
const beneath = new WeakMap<Socket, Socket>();

const ROUTES: readonly Route[] = [
  {
    path: '/page/:name',
    get: async ({ segments: { name = '' } }) => text(name),
    post: async ({ form }) => text(JSON.stringify(form)),
  },
  {
    path: '/waits',
    get() {
      const answer = Promise.withResolvers<HttpAnswer>();
      waiting.push(answer);
      return answer.promise;
    },
  },
  { path: '/large', get: async () => text('x'.repeat(30_000_000)) },
  { path: '/unsayable', get: async () => text('x', { location: '/a\r\nset-cookie: b' }) },
];

function sockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
}

const before = sockets();

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

async function connected(): Promise<Socket> {
  const made = connect(listener.port, '127.0.0.1').setNoDelay();
  made.on('error', () => undefined);
  await once(made, 'connect');
  if (tls === 'none') return made;
  const secured = connectTls({ socket: made, servername: 'localhost', ca: material.cert });
  secured.on('error', () => undefined);
  await once(secured, 'secureConnect');
  beneath.set(secured, made);
  return secured;
}

/** Everything that is said on this connection. */
function heard(from: Socket): Promise<string> {
  let all = '';
  from.on('data', (chunk: Buffer) => {
    all += chunk.toString('latin1');
  });
  return new Promise((resolve) => from.once('close', () => resolve(all.replace(/^date:.*\r\n/im, ''))));
}

/** What was there before is dealt with: what another client asks comes after it. */
async function dealtWith(): Promise<void> {
  const other = await connected();
  other.write('GET /page/x HTTP/1.1\r\nhost: x\r\n\r\n');
  await heard(other);
}

const FORM = 'a=b&c=%20d';
const POST = `POST /page/x HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${FORM.length}\r\n\r\n`;

const POINTS = [
  ...['', 'GET /pa', 'GET /page/x HTTP/1.1\r\nhost: x\r\n', POST, `${POST}${FORM.slice(0, 3)}`],
  ...['GET /waits HTTP/1.1\r\nhost: x\r\n\r\n', 'GET /large HTTP/1.1\r\nhost: x\r\n\r\n'],
];

describe.each(['none', 'implicit'] as const)('TLS: %s', (over) => {
  beforeEach(async () => {
    tls = over;
    events = [];
    waiting = [];
    listener = await startHttpListener({
      ...{ name: 'web', host: '127.0.0.1', port: 0, routes: ROUTES },
      ...(tls === 'none' ? { tls } : { tls, secureContext: createSecureContext(material) }),
      ...{ maxConnections: 100, maxConnectionsPerAddress: 100, unlimitedNetworks: [], proxyProtocolFrom: [] },
      log: { write: (event) => void events.push(event) },
    });
    socket = await connected();
  });
  afterEach(async () => {
    socket.destroy();
    await listener.close();
    await until(() => sockets() === before);
  });

  test.each([
    'GET /page/x HTTP/1.1\r\nhost: x\r\n\r\n',
    'HEAD /page/x HTTP/1.0\r\n\r\n',
    `${POST}${FORM}`,
    `${POST}${FORM}GET /page/y HTTP/1.1\r\nhost: x\r\n\r\n`,
    'GET /page/x HTTP/1.1\r\nhost: x\r\n\r\nGET /page/y HTTP/1.1\r\nhost: x\r\n\r\n',
    'BREW /page/x HTTP/1.1\r\nhost: x\r\n\r\n',
    'GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n',
  ])('octet by octet, each dealt with before the next: %j', async (octets) => {
    const atOnce = heard(socket);
    socket.write(octets);
    const expected = await atOnce;
    expect(expected).toMatch(/^HTTP\/1\.1 \d{3} /);
    const slow = await connected();
    const answer = heard(slow);
    for (const octet of Buffer.from(octets, 'latin1')) {
      slow.write(Buffer.from([octet]));
      await dealtWith();
    }
    expect(await answer).toBe(expected);
  });

  test('an answer that HTTP cannot say is a defect, and ends nothing else', async () => {
    const answer = heard(socket);
    socket.write('GET /unsayable HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1\.1 500 /);
    expect(events.map(({ event }) => event)).toContain('gateway.defect');
  });

  describe.each(POINTS)('%j', (octets) => {
    beforeEach(async () => {
      socket.pause();
      if (octets !== '') socket.write(octets);
      await dealtWith();
      if (octets.includes('/waits')) await until(() => waiting.length === 1);
    });

    test.each([
      ...['closes', 'resets', 'goes while the gateway stops', 'is answered late'],
      ...(over === 'none' ? [] : ['is cut off beneath TLS']),
    ])('a client that %s leaves nothing behind', async (how) => {
      if (how === 'closes') socket.end();
      if (how === 'resets') (beneath.get(socket) ?? socket).resetAndDestroy();
      if (how === 'is cut off beneath TLS') beneath.get(socket)?.end();
      if (how === 'is answered late') {
        socket.destroy();
        await dealtWith();
        for (const { resolve } of waiting) resolve(text('late'));
      }
      const stopped = how === 'goes while the gateway stops' ? listener.close() : null;
      if (how === 'closes' || how === 'is cut off beneath TLS') socket.resume();
      // A request that waits goes on; its client has only said that it says nothing more.
      for (const { resolve } of waiting) resolve(text('at last'));
      await stopped;
      socket.resume();
      await until(() => sockets() === before + (stopped === null ? 1 : 0));
      expect(events.filter(({ event }) => event === 'gateway.defect')).toEqual([]);
    });
  });
});
