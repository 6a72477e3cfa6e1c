import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Leg } from '../../src/pop3-proxy/leg.ts';

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

async function pair(): Promise<{ leg: Leg; peer: Socket; socket: Socket }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const peer = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  open.push(peer, socket);
  return { leg: new Leg(socket), peer, socket };
}

test('whoever does not wait for octets any longer is not told of them, and others are', async () => {
  const { leg, peer } = await pair();
  const changed = new AbortController();
  const [left, stays] = [leg.readable(changed.signal), leg.readable()];
  changed.abort();
  expect(await left).toBe(false);
  expect(await leg.readable(changed.signal)).toBe(false);
  peer.write('x');
  expect(await stays).toBe(true);
  expect(await leg.readable(changed.signal)).toBe(true);
  expect((await leg.read())?.toString()).toBe('x');
});

test('a connection that is ended at once is closed, whatever was ended before', async () => {
  for (const octets of [0, 10_000_000]) {
    for (const before of ['nothing', 'the peer', 'the leg', 'both']) {
      const { leg, peer, socket } = await pair();
      peer.on('error', () => undefined);
      const closed = once(socket, 'close');
      if (octets > 0) void leg.write(Buffer.alloc(octets));
      if (before === 'the peer' || before === 'both') {
        peer.end();
        await leg.readable();
      }
      if (before === 'the leg' || before === 'both') leg.end();
      leg.destroy();
      await closed;
    }
  }
});
