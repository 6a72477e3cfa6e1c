import { expect, test } from 'vitest';
import { SmallChunks } from '../../src/octets/small-chunks.ts';

/** Chunks as a reader keeps them. */
function kept(chunks: readonly Buffer[]): Buffer[] {
  const small = new SmallChunks();
  const waiting: Buffer[] = [];
  for (const chunk of chunks) {
    const last = waiting.at(-1);
    const joined = last === undefined ? null : small.joined(last, chunk);
    if (joined === null) waiting.push(chunk);
    else waiting[waiting.length - 1] = joined;
  }
  return waiting;
}

test('attack: octets that come one by one wait in few pieces', () => {
  const octets = Buffer.from(Array.from({ length: 65_536 }, (_, i) => i % 251));
  const waiting = kept(Array.from(octets, (octet) => Buffer.from([octet])));
  expect(Buffer.concat(waiting)).toEqual(octets);
  expect(waiting.length).toBeLessThan(20);
  // Nor does each of them keep a piece of Node's pool.
  expect(waiting.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)).toBeLessThan(80_000);
});

test('large chunks stay as they are', () => {
  const chunks: Buffer[] = [
    Buffer.alloc(16_384, 1),
    Buffer.alloc(16_384, 2),
    Buffer.alloc(4_096, 3),
    Buffer.alloc(1, 4),
  ];
  expect(kept(chunks).map((each) => chunks.indexOf(each))).toEqual([0, 1, 2, 3]);
});

test('what was given out already is never written to', () => {
  const small = new SmallChunks();
  const first = small.joined(Buffer.from('ab'), Buffer.from('cd')) ?? Buffer.alloc(0);
  const given = first.subarray(0, 3);
  const second = small.joined(first.subarray(3), Buffer.from('ef')) ?? Buffer.alloc(0);
  // A reader that has gone back, or another one, gets octets of its own.
  const third = small.joined(first, Buffer.from('XY')) ?? Buffer.alloc(0);
  expect([given, second, third].map(String)).toEqual(['abc', 'def', 'abcdXY']);
});
