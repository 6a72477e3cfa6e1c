import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type HttpListener, startHttpListener } from '../../src/http/listener.ts';
import type { Event } from '../../src/log/events.ts';
import { certificateFor } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';

/** RFC 9112 §9.6: a client that is still sending gets the answer that came meanwhile, and does not keep its connection by that. */

const material = certificateFor('localhost');
afterAll(() => material.remove());

let events: Event[];
let listener: HttpListener;
let socket: Socket;
afterEach(async () => {
  socket.destroy();
  await listener.close();
});

describe.each(['none', 'implicit'] as const)('TLS: %s', (tls) => {
  async function connected(lingerMs: number): Promise<void> {
    events = [];
    listener = await startHttpListener({
      ...{ name: 'web', host: '127.0.0.1', port: 0, routes: [], times: { lingerMs } },
      ...(tls === 'none' ? { tls } : { tls, secureContext: createSecureContext(material) }),
      ...{ maxConnections: 10, maxConnectionsPerAddress: 10, unlimitedNetworks: [], proxyProtocolFrom: [] },
      log: { write: (event) => void events.push(event) },
    });
    const { port } = listener;
    socket =
      tls === 'none'
        ? connect(port, '127.0.0.1')
        : connectTls({ host: '127.0.0.1', port, servername: 'localhost', ca: material.cert });
    await once(socket, tls === 'none' ? 'connect' : 'secureConnect');
  }

  const write = (octets: string | Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      socket.write(octets, (error) => (error ? reject(error) : resolve()));
    });

  test.each([
    ['a form', 'POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n', /^HTTP\/1\.1 404 /],
    ['what is no HTTP', 'EHLO x\r\n', /^HTTP\/1\.1 400 /],
  ])('it reads the answer to %s behind all that it sends', async (_, head, status) => {
    await connected(60_000);
    await write(head);
    if (head.startsWith('POST')) {
      await eventually(() => expect(events.map(({ event }) => event)).toContain('http.answered'));
    }
    for (let i = 0; i < 200; i++) await write(Buffer.alloc(10_000, 'x'));
    let heard = '';
    socket.on('data', (octets: Buffer) => {
      heard += octets.toString('latin1');
    });
    await once(socket, 'end');
    expect(heard).toMatch(status);
    await once(socket, 'close');
  });

  test('attack: one that goes on and on is cut off', async () => {
    await connected(100);
    socket.on('error', () => undefined);
    const gone = new Promise((resolve) => socket.once('close', resolve));
    await write('POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000000\r\n\r\n');
    const own = socket;
    const more = (): void => {
      if (!own.destroyed) own.write(Buffer.alloc(1_000, 'x'), () => setImmediate(more));
    };
    more();
    await gone;
  });
});
