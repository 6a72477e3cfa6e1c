import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { certificateFor } from '../support/certificate.ts';
import { everyEnd } from './support/every-end.ts';
import { startTestProxy } from './support/listener.ts';

/** The same where both sides of the gateway are secured, and cut off beneath TLS too, as by somebody who has no key. */

const material = certificateFor('localhost');
afterAll(() => material.remove());

describe('TLS from the first octet', () => {
  everyEnd({ tls: 'implicit', material });
});

describe('STLS', () => {
  everyEnd({ tls: 'starttls', material });
});

/** A mail server that says so much, and then nothing. */
type Silent = { greeting: string; reply: string };
const SILENT: readonly (readonly [string, Silent])[] = [
  ['does not greet', { greeting: '', reply: '' }],
  ['does not answer STLS', { greeting: '+OK hello\r\n', reply: '' }],
  ['does not answer the handshake', { greeting: '+OK hello\r\n', reply: '+OK begin\r\n' }],
];

describe('a handshake that does not come', () => {
  const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCP')).length;
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setImmediate(resolve));
  };

  /** Both ends of the gateway at such a point. */
  async function stalled(tls: 'implicit' | 'starttls', server: Silent, clientToo: boolean) {
    const before = sockets();
    const accepted: Socket[] = [];
    let heard = '';
    const upstream = createServer((socket) => {
      accepted.push(socket);
      socket.on('error', () => undefined);
      if (tls === 'starttls') socket.write(server.greeting);
      socket.on('data', (octets) => {
        heard += octets.toString('latin1');
        if (heard === 'STLS\r\n') socket.write(server.reply);
      });
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const { port } = upstream.address() as AddressInfo;
    const proxy = await startTestProxy(port, {
      tls: clientToo ? tls : 'none',
      secureContext: createSecureContext(material),
      upstream: {
        ...{ host: '127.0.0.1', port, tls: clientToo ? 'none' : tls },
        ...{ caFile: material.file, serverName: 'localhost' },
      },
    });
    const client = connect(proxy.port, '127.0.0.1');
    client.on('error', () => undefined);
    let said = '';
    client.on('data', (octets) => {
      said += octets.toString('latin1');
    });
    return {
      ...{ proxy, client, accepted },
      heard: () => heard,
      said: () => said,
      /** Nothing of it is left. */
      async left(): Promise<void> {
        await until(() => proxy.events.some(({ event }) => event === 'pop3.closed'));
        expect(proxy.events.filter(({ event }) => event === 'gateway.defect')).toEqual([]);
        await until(() => client.destroyed && accepted.every(({ destroyed }) => destroyed));
        await proxy.close();
        upstream.close();
        await until(() => sockets() === before);
      },
    };
  }
  type Stalled = Awaited<ReturnType<typeof stalled>>;

  const ends: Readonly<Record<string, (at: Stalled) => unknown>> = {
    'the client closes': ({ client }) => client.end(),
    'the client resets': ({ client }) => client.resetAndDestroy(),
    'the server closes': ({ accepted }) => accepted.map((socket) => socket.end()),
    'the server resets': ({ accepted }) => accepted.map((socket) => socket.resetAndDestroy()),
    'the gateway stops': ({ proxy }) => proxy.close(),
  };

  describe.each(SILENT)('the server %s', (_name, server) => {
    test.each(Object.keys(ends))('%s', async (end) => {
      const at = await stalled('starttls', server, false);
      await until(() => at.accepted.length === 1);
      if (server.greeting !== '') await until(() => at.heard().startsWith('STLS\r\n'));
      if (server.reply !== '') await until(() => at.heard().length > 'STLS\r\n'.length);
      await ends[end]?.(at);
      await at.left();
    });
  });

  describe('the server does not answer the handshake with which it begins', () => {
    test.each(Object.keys(ends))('%s', async (end) => {
      const at = await stalled('implicit', { greeting: '', reply: '' }, false);
      await until(() => at.heard() !== '');
      await ends[end]?.(at);
      await at.left();
    });
  });

  test.each(Object.keys(ends).filter((end) => !end.includes('server')))(
    'the client does not begin: %s',
    async (end) => {
      const at = await stalled('implicit', { greeting: '', reply: '' }, true);
      await once(at.client, 'connect');
      await ends[end]?.(at);
      await at.left();
    },
  );
});
