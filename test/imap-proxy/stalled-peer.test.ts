import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { closeSocketPairs, socketPair } from './support/socket-pair.ts';

afterEach(closeSocketPairs);

test('attack: a client that takes nothing of a large mail does not hold its room for ever', async () => {
  const { wire, peer } = await socketPair(50);
  peer.pause();
  await wire.write(Buffer.alloc(64 * 1024 * 1024));
  expect(wire.ended).toBe(true);
  expect(wire.cause).toBe('the peer takes nothing');
});

test('a client that takes its mail is not closed for being idle afterwards', async () => {
  const { wire, peer, socket } = await socketPair(30_000);
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

test('attack: a client that keeps talking after it was told to go does not keep its connection', async () => {
  const { wire, peer, socket } = await socketPair(60_000, 50);
  const gone = once(socket, 'close');
  peer.pause();
  peer.on('error', () => undefined);
  // More than the system takes: it is being waited for when the wire ends.
  void wire.write(Buffer.alloc(16 * 1024 * 1024));
  wire.end();
  const talk = (): void => {
    if (!peer.destroyed) peer.write('x', () => setImmediate(talk));
  };
  talk();
  await gone;
  expect(socket.destroyed).toBe(true);
});

test('a client that takes the last words late gets them whole', async () => {
  const { wire, peer } = await socketPair();
  const words = Buffer.alloc(16 * 1024 * 1024, 'w');
  void wire.write(words);
  wire.end();
  let taken = 0;
  for await (const chunk of peer as AsyncIterable<Buffer>) taken += chunk.length;
  expect(taken).toBe(words.length);
});

test('attack: a client that says more than anybody hears has to wait with it, and is heard to the end', async () => {
  const { wire, peer, socket } = await socketPair();
  const line = Buffer.from(`${'x'.repeat(1_022)}\r\n`);
  const lines = 16 * 1024;
  peer.end(Buffer.alloc(lines * line.length, line));
  while (!socket.isPaused()) await new Promise(setImmediate);
  expect(wire.buffered).toBeLessThan(256 * 1024);
  let heard = 0;
  while ((await wire.next()) !== null) heard++;
  expect(heard).toBe(lines);
});

test('attack: a client that has closed its half and takes nothing of the last words does not keep its connection', async () => {
  const { wire, peer, socket } = await socketPair(60_000, 50);
  peer.pause();
  // As much as the system takes, and a little that nobody waits for.
  while (socket.writableLength === 0) {
    void wire.write(Buffer.alloc(8 * 1024));
    await new Promise(setImmediate);
  }
  const gone = once(socket, 'close');
  const waited = wire.next();
  peer.end();
  expect(await waited).toBeNull();
  wire.end();
  await gone;
});
