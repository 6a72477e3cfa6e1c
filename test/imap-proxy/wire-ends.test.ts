import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { constants, deflateRawSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { Wire } from '../../src/imap-proxy/wire.ts';
import { closeSocketPairs, socketPair } from './support/socket-pair.ts';

/** Whatever waits at a connection, whoever ends it: the waiting ends. */

type Ends = { wire: Wire; peer: Socket; socket: Socket };

const ENDS: Record<string, (ends: Ends) => void> = {
  'the client resets': ({ peer }) => peer.resetAndDestroy(),
  'the session destroys': ({ wire }) => wire.destroy(),
  'the session ends, and the client takes nothing': ({ wire }) => wire.end(),
  'the gateway stops': ({ socket }) => socket.destroy(),
};

/** More than any system takes for a peer that reads nothing, however it is deflated. */
const MUCH = randomBytes(24 * 1024 * 1024);

const WAITS: Record<string, (wire: Wire) => Promise<unknown>> = {
  'octets for the peer': async (wire) => await wire.write(MUCH),
  'borrowed octets for the peer': (wire) => wire.through(MUCH),
  'octets from the peer': (wire) => wire.next(),
  'octets from the peer, attended to': (wire) => wire.more(() => true),
};

afterEach(closeSocketPairs);

async function connection(kind: string): Promise<Ends> {
  const ends = await socketPair(undefined, 50);
  for (const each of [ends.peer, ends.socket]) each.on('error', () => undefined);
  ends.peer.pause();
  if (kind === 'deflated') ends.wire.compress();
  return ends;
}

async function ended({ signal }: Wire): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

describe.each(['plain', 'deflated'])('%s', (kind) => {
  describe.each(Object.keys(WAITS))('%s', (what) => {
    test.each(Object.keys(ENDS))('%s', async (how) => {
      const ends = await connection(kind);
      const waited = (WAITS[what] as (wire: Wire) => Promise<unknown>)(ends.wire);
      const written = what.includes('for the peer') ? once(ends.peer, 'readable') : null;
      await written;
      ENDS[how]?.(ends);
      await waited;
      await ended(ends.wire);
      expect(ends.wire.ended).toBe(true);
      await ends.wire.through(MUCH);
      await ends.wire.write(MUCH);
      expect(await ends.wire.more()).toBe(false);
    });
  });

  test('attack: a client that says much and closes, while nobody reads, goes when the gateway stops', async () => {
    const { wire, peer, socket } = await connection(kind);
    const much = Buffer.alloc(1024 * 1024, 'a NOOP\r\n');
    peer.end(kind === 'plain' ? much : deflateRawSync(much, { finishFlush: constants.Z_SYNC_FLUSH }));
    await wire.next();
    while (wire.buffered < 64 * 1024) await new Promise(setImmediate);
    // Deflated it is little, and closes by itself.
    if (kind === 'deflated' && !socket.destroyed) await once(socket, 'close');
    socket.destroy();
    await ended(wire);
    // What was read ahead is still there.
    expect(await wire.next()).toMatchObject({ type: 'line' });
  });

  test('what a client says last is heard to the end by who reads on', async () => {
    const { wire, peer } = await connection(kind);
    const much = Buffer.alloc(1024 * 1024, 'a NOOP\r\n');
    peer.end(kind === 'plain' ? much : deflateRawSync(much, { finishFlush: constants.Z_SYNC_FLUSH }));
    let lines = 0;
    const take = (): boolean => {
      while (wire.take() !== null) lines++;
      return true;
    };
    expect(await wire.more(take)).toBe(false);
    expect(lines).toBe(much.length / 8);
  });
});

test('a connection that has closed before anybody listens is over', async () => {
  const { socket } = await socketPair();
  socket.destroy();
  await once(socket, 'close');
  const wire = new Wire(socket, 'client', 65_536);
  expect(await wire.next()).toBeNull();
  expect(wire.signal.aborted).toBe(true);
});
