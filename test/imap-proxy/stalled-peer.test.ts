import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Wire } from '../../src/imap-proxy/wire.ts';

const open: { destroy(): unknown }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.destroy();
});

async function pair(stalledMs: number): Promise<{ wire: Wire; peer: Socket; socket: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const peer = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  open.push(peer, socket);
  return { wire: new Wire(socket, 'client', 65_536, stalledMs), peer, socket };
}

test('attack: a client that takes nothing of a large mail does not hold its room for ever', async () => {
  const { wire, peer } = await pair(50);
  peer.pause();
  await wire.write(Buffer.alloc(64 * 1024 * 1024));
  expect(wire.ended).toBe(true);
  expect(wire.cause).toBe('the peer takes nothing');
});

test('a client that takes its mail is not closed for being idle afterwards', async () => {
  const { wire, peer, socket } = await pair(50);
  let taken = 0;
  const all = new Promise<void>((resolve) => {
    peer.on('data', (chunk) => {
      taken += chunk.length;
      if (taken === 16 * 1024 * 1024) resolve();
    });
  });
  await wire.write(Buffer.alloc(16 * 1024 * 1024));
  await all;
  expect(socket.timeout).toBe(0);
  expect(wire.ended).toBe(false);
});
