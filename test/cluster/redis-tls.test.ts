import { type AddressInfo, connect, createServer as createPlain, type Server } from 'node:net';
import { createServer } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RedisPlace } from '../../src/cluster/redis-place.ts';
import { redisStatus } from '../../src/cluster/redis-status.ts';
import { Secret } from '../../src/log/secret.ts';
import { certificateFor, type TlsMaterial } from '../support/certificate.ts';
import type { Started } from '../support/services/disposable.ts';
import { DURABLE, type Redis, redis } from '../support/services/redis.ts';

/** Who a Redis is, before the password is told to it. */

const PASSWORD = 'correct-horse-battery';
let server: Started<Redis>;
let made: TlsMaterial;
let over: Server;
let plain: Server;
const heard: Buffer[] = [];

beforeAll(async () => {
  made = certificateFor('localhost', '127.0.0.1');
  server = await redis({ ...DURABLE, requirepass: PASSWORD });
  // TLS before a real one; and one that hears whatever comes, and answers nothing that is TLS.
  over = createServer({ cert: made.cert, key: made.key }, (socket) => {
    const redisSide = connect(server.port, '127.0.0.1');
    socket.on('error', () => redisSide.destroy()).on('close', () => redisSide.destroy());
    redisSide.on('error', () => socket.destroy());
    socket.pipe(redisSide).pipe(socket);
  });
  over.on('tlsClientError', () => undefined);
  plain = createPlain((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (octets: Buffer) => {
      heard.push(octets);
      socket.write('+OK\r\n');
    });
  });
  for (const one of [over, plain]) await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  over.close();
  plain.close();
  await server.stop();
  made.remove();
});

function at(listening: Server, tls: RedisPlace['tls']): RedisPlace {
  const { port } = listening.address() as AddressInfo;
  return { host: '127.0.0.1', port, tls, user: null, password: new Secret(PASSWORD), db: 0, prefix: 'p' };
}

test.each(['localhost', null])(
  'one whose certificate names it, or its address, is asked: %s',
  async (serverName) => {
    expect(await redisStatus(at(over, { ca: made.cert, serverName }))).toEqual({
      ...{ state: 'here', orders: 0, forgets: [] },
    });
  },
);

test.each([
  [
    'of another name',
    () => at(over, { ca: made.cert, serverName: 'redis.example.org' }),
    /altnames|does not match/i,
  ],
  [
    'at an address that its certificate does not name',
    () => at(over, { ca: made.cert, serverName: '192.0.2.1' }),
    /altnames|does not match/i,
  ],
  [
    'by an authority that nobody configured',
    () => at(over, { ca: null, serverName: 'localhost' }),
    /self.signed/i,
  ],
  ['without TLS', () => at(plain, { ca: made.cert, serverName: 'localhost' }), /.+/],
])('one %s is told nothing', async (_, place, reason) => {
  heard.length = 0;
  const status = await redisStatus(place());
  expect(status).toEqual({ state: 'away', reason: expect.stringMatching(reason) });
  expect(Buffer.concat(heard).includes(PASSWORD)).toBe(false);
  expect(JSON.stringify(status)).not.toContain(PASSWORD);
});
