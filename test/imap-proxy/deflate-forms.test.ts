import { constants, createDeflateRaw, deflateRawSync, type ZlibOptions } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { closeSocketPairs, socketPair } from './support/socket-pair.ts';

/** Whatever another program's DEFLATE looks like (RFC 1951), and however its octets come. */

afterEach(closeSocketPairs);

const LINES = [
  'a NOOP\r\n',
  'b SELECT INBOX\r\n',
  `c SEARCH ${'x'.repeat(600)}\r\n`,
  'd SELECT INBOX\r\n',
  'e NOOP\r\n',
];

/** Each line flushed by itself. */
async function flushed(flush: number, options: ZlibOptions = {}): Promise<Buffer> {
  const stream = createDeflateRaw(options);
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  for (const line of LINES) {
    stream.write(line);
    await new Promise<void>((resolve) => stream.flush(flush, resolve));
  }
  stream.destroy();
  return Buffer.concat(chunks);
}

const EMPTY_STORED = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff]);

const FORMS: Record<string, () => Promise<Buffer>> = {
  'sync flush': () => flushed(constants.Z_SYNC_FLUSH),
  'full flush': () => flushed(constants.Z_FULL_FLUSH),
  'partial flush': () => flushed(constants.Z_PARTIAL_FLUSH),
  'the smallest window': () => flushed(constants.Z_SYNC_FLUSH, { windowBits: 9 }),
  'the largest window': () => flushed(constants.Z_SYNC_FLUSH, { windowBits: 15 }),
  'stored blocks': () => flushed(constants.Z_SYNC_FLUSH, { level: 0 }),
  'fixed codes': () => flushed(constants.Z_SYNC_FLUSH, { strategy: constants.Z_FIXED }),
  'runs of one octet': () => flushed(constants.Z_SYNC_FLUSH, { strategy: constants.Z_RLE }),
  'empty stored blocks around it': async () =>
    Buffer.concat([EMPTY_STORED, EMPTY_STORED, await flushed(constants.Z_SYNC_FLUSH), EMPTY_STORED]),
  'a final block': async () => deflateRawSync(Buffer.from(LINES.join(''))),
};

async function compressed(): Promise<Awaited<ReturnType<typeof socketPair>>> {
  const pair = await socketPair();
  pair.peer.setNoDelay(true).on('error', () => undefined);
  pair.wire.compress();
  return pair;
}

/** The lines that a connection gives, up to the last one that is expected or its end. */
async function lines(octets: Buffer, pieces: readonly number[]): Promise<string[]> {
  const { wire, peer } = await compressed();
  const heard: string[] = [];
  const hearing = (async () => {
    while (heard.length < LINES.length) {
      const event = await wire.next();
      if (event === null) return;
      if (event.type === 'line') heard.push(event.octets.toString('latin1'));
    }
  })();
  let from = 0;
  for (const to of [...pieces, octets.length]) {
    if (peer.writable) peer.write(octets.subarray(from, to));
    from = to;
    await new Promise(setImmediate);
    await new Promise(setImmediate);
  }
  await hearing;
  wire.destroy();
  return heard;
}

test.each(Object.keys(FORMS))('%s, whole, in two pieces of any length, and octet by octet', async (form) => {
  const octets = await (FORMS[form] as () => Promise<Buffer>)();
  const all = Array.from({ length: octets.length - 1 }, (_, at) => at + 1);
  const ways = [[], all, ...all.map((at) => [at])];
  const heard = await Promise.all(ways.map((pieces) => lines(octets, pieces)));
  expect(heard).toEqual(ways.map(() => LINES));
});

test('behind a final block nothing more comes, and the connection has ended', async () => {
  const { wire, peer } = await compressed();
  const more = deflateRawSync(Buffer.from('b NOOP\r\n'));
  peer.write(Buffer.concat([deflateRawSync(Buffer.from('a NOOP\r\n')), more]));
  expect(await wire.next()).toMatchObject({ octets: Buffer.from('a NOOP\r\n') });
  expect(await wire.next()).toBeNull();
  expect(wire.ended).toBe(true);
});

describe('attack: what is no DEFLATE', () => {
  const valid = deflateRawSync(Buffer.from('a NOOP\r\n'), { finishFlush: constants.Z_SYNC_FLUSH });
  const BAD: Record<string, Buffer> = {
    'a block of no kind': Buffer.from([0x07]),
    'a stored block whose length is not its length': Buffer.from([0x00, 0x01, 0x00, 0x00, 0x00]),
    'codes of too many lengths': Buffer.from([0xfc, 0xff, 0xff, 0xff]),
  };
  test.each(Object.keys(BAD))('%s ends the connection, wherever it is cut', async (kind) => {
    const octets = Buffer.concat([valid, BAD[kind] as Buffer]);
    for (let at = 0; at <= octets.length; at++) {
      const { wire, peer } = await compressed();
      peer.write(octets.subarray(0, at));
      await new Promise(setImmediate);
      peer.write(octets.subarray(at));
      while ((await wire.next()) !== null);
      if (!peer.closed) await new Promise((resolve) => peer.resume().on('close', resolve));
      expect(wire.ended).toBe(true);
    }
  });

  test('blocks of nothing without end take no memory, and what comes behind them is heard', async () => {
    const { wire, peer } = await compressed();
    const nothing = Buffer.alloc(EMPTY_STORED.length * 400_000, EMPTY_STORED);
    peer.write(Buffer.concat([nothing, valid]));
    const before = process.memoryUsage().arrayBuffers;
    expect(await wire.next()).toMatchObject({ octets: Buffer.from('a NOOP\r\n') });
    expect(wire.buffered).toBe(0);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024);
  });
});
