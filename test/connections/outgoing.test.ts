import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { PassThrough, type Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { Outgoing, type OutgoingTimes } from '../../src/connections/outgoing.ts';

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

type Pair = { outgoing: Outgoing; socket: Socket; peer: Socket; stalls: () => number };

async function pair(times: OutgoingTimes = {}, allowHalfOpen = true): Promise<Pair> {
  const server = createServer({ allowHalfOpen });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const peer = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  open.push(peer, socket);
  socket.on('error', () => undefined);
  peer.on('error', () => undefined);
  let stalls = 0;
  const outgoing = new Outgoing(
    socket,
    () => {
      stalls++;
      outgoing.destroy();
    },
    times,
  );
  return { outgoing, socket, peer, stalls: () => stalls };
}

/** Sizes of what one call hands to the system. */
function handedOver(sink: Writable): number[][] {
  const sizes: number[][] = [];
  const write = sink._write.bind(sink);
  const writev = sink._writev?.bind(sink);
  sink._write = (chunk: Buffer, ...rest) => {
    sizes.push([chunk.length]);
    write(chunk, ...rest);
  };
  sink._writev = (chunks, callback) => {
    sizes.push(chunks.map(({ chunk }) => (chunk as Buffer).length));
    writev?.(chunks, callback);
  };
  return sizes;
}

test('what is written in one turn leaves together: small pieces joined, large ones as they are', async () => {
  const { outgoing, socket, peer } = await pair();
  const sizes = handedOver(socket);
  outgoing.write('* OK ');
  outgoing.write('hello\r\n');
  expect(sizes).toEqual([]);
  expect((await once(peer, 'data')).toString()).toBe('* OK hello\r\n');
  outgoing.write(Buffer.alloc(10_000, 'a'));
  outgoing.write(Buffer.alloc(9_000, 'b'));
  await once(peer, 'data');
  outgoing.cork();
  outgoing.write('a');
  outgoing.uncork();
  expect(sizes).toEqual([[12], [10_000, 9_000], [1]]);
});

test('corked, it waits beyond its tick if it is let go later', async () => {
  const { outgoing, socket, peer } = await pair();
  const sizes = handedOver(socket);
  outgoing.cork();
  outgoing.write('a');
  outgoing.uncorkLater();
  expect(sizes).toEqual([]);
  outgoing.write('b');
  expect((await once(peer, 'data')).toString()).toBe('ab');
});

test('whatever the pieces, the peer gets them whole and in order', async () => {
  const size = fc.oneof(fc.nat(20), fc.nat(5_000), fc.nat(100_000));
  const piece = fc.record({
    size,
    act: fc.constantFrom('write', 'write', 'write', 'through', 'wait', 'cork'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 20 }), async (pieces) => {
      const { outgoing, peer } = await pair();
      const heard = buffer(peer);
      const said: Buffer[] = [];
      for (const [n, each] of pieces.entries()) {
        const octets = Buffer.alloc(each.size, n + 1);
        said.push(octets);
        if (each.act === 'cork') outgoing.cork();
        if (each.act === 'through') {
          const lent = Buffer.from(octets);
          await outgoing.through(lent);
          lent.fill(0);
        } else {
          const wait = outgoing.write(octets);
          if (each.act === 'wait') await wait;
        }
        if (each.act === 'cork') outgoing.uncork();
      }
      outgoing.end();
      expect((await heard).equals(Buffer.concat(said))).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test('who writes much is told to wait until the peer has taken it', async () => {
  const { outgoing, socket, peer } = await pair();
  peer.pause();
  const wait = outgoing.write(Buffer.alloc(16 * 1024 * 1024));
  expect(wait).not.toBe(null);
  peer.resume();
  await wait;
  expect(socket.writableLength).toBe(0);
  expect(socket.timeout).toBe(0);
});

test('attack: a peer that takes nothing is noticed, and nobody waits for it', async () => {
  const { outgoing, peer, stalls } = await pair({ stalledMs: 50 });
  peer.pause();
  await outgoing.write(Buffer.alloc(64 * 1024 * 1024));
  expect(stalls()).toBe(1);
  expect(outgoing.write('x')).toBe(null);
  await outgoing.through(Buffer.from('x'));
  outgoing.end();
});

test('attack: a peer that does not close is not waited for', async () => {
  const { outgoing, socket, peer } = await pair({ lingerMs: 50 });
  peer.pause();
  outgoing.write('bye');
  outgoing.end();
  await once(socket, 'close');
});

test('from a redirection on everything goes through what is between, each turn in one write', async () => {
  const { outgoing, peer } = await pair();
  const between = new PassThrough();
  const sizes: number[] = [];
  between.on('data', (chunk: Buffer) => sizes.push(chunk.length));
  outgoing.write('before');
  outgoing.redirect(between);
  expect((await once(peer, 'data')).toString()).toBe('before');
  outgoing.write(Buffer.alloc(10_000));
  outgoing.write(Buffer.alloc(10_000));
  outgoing.flush();
  await outgoing.through(Buffer.alloc(1));
  expect(sizes).toEqual([20_000, 1]);
});

test.each([0, 10_000_000])(
  'a connection that is ended at once is closed, whatever was ended before, with %d octets written',
  async (octets) => {
    for (const before of ['nothing', 'the peer', 'this half', 'both']) {
      const { outgoing, socket, peer } = await pair({}, false);
      const closed = once(socket, 'close');
      if (octets > 0) void outgoing.write(Buffer.alloc(octets));
      if (before === 'the peer' || before === 'both') {
        peer.end();
        socket.resume();
        await once(socket, 'end');
      }
      if (before === 'this half' || before === 'both') outgoing.end();
      outgoing.destroy();
      await closed;
    }
  },
);
