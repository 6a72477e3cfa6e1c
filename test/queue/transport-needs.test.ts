import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import { transportNeedsOf } from '../../src/queue/transport-needs.ts';
import { hasBareLineEnd, hasNulBeforeDot } from '../../src/smtp/line-faults.ts';

function inChunks(octets: Buffer, size: number): OctetSource {
  return {
    length: octets.length,
    async *read() {
      for (let at = 0; at < octets.length; at += size) yield octets.subarray(at, at + size);
    },
  };
}

test.each([
  ['a: b\r\n\r\ntext\r\n', { bareLineEnd: false, eightBit: false, eightBitHeader: false }],
  ['a: b\r\n\r\nü\r\n', { bareLineEnd: false, eightBit: true, eightBitHeader: false }],
  ['a: ü\r\n\r\ntext\r\n', { bareLineEnd: false, eightBit: true, eightBitHeader: true }],
  ['a: ü', { bareLineEnd: false, eightBit: true, eightBitHeader: true }],
  ['a: b\r\n\r\n\n', { bareLineEnd: true, eightBit: false, eightBitHeader: false }],
  [
    'a: b\r\n\r\n\0\0.\r\n',
    { bareLineEnd: false, nulBeforeDot: true, eightBit: true, eightBitHeader: false },
  ],
  ['', { bareLineEnd: false, eightBit: false, eightBitHeader: false }],
])('%j asks for %j', async (text, needs) => {
  const octets = Buffer.from(text);
  for (const source of [bufferSource(octets), inChunks(octets, 1), inChunks(octets, 3)]) {
    expect(await transportNeedsOf(source)).toEqual({ nulBeforeDot: false, ...needs });
  }
});

const isBeyond = (octet: number): boolean => octet > 127 || octet === 0;

test('chunks do not show', async () => {
  const pieces = fc.array(fc.constantFrom('\r\n', '\r', '\n', 'a', 'ü', '\r\n\r\n', 'Subject: x'), {
    maxLength: 16,
  });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 9 }), async (parts, size) => {
      const octets = Buffer.from(parts.join(''));
      const end = octets.indexOf('\r\n\r\n');
      const header = octets.subarray(0, end === -1 ? octets.length : end);
      expect(await transportNeedsOf(inChunks(octets, size))).toEqual({
        bareLineEnd: hasBareLineEnd(octets),
        nulBeforeDot: hasNulBeforeDot(octets),
        eightBit: octets.some(isBeyond),
        eightBitHeader: header.some(isBeyond),
      });
    }),
    { numRuns: 500 },
  );
});
