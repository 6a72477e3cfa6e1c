import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasBareLineEnd } from '../../src/smtp/line-faults.ts';

const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('\r\n', 'text', 'a', '.', 'é', '\r\n\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\r', '\n') },
  {
    weight: 2,
    arbitrary: fc
      .integer({ min: 0, max: 255 })
      .map((octet) => (octet === 10 || octet === 13 ? '' : String.fromCharCode(octet))),
  },
);

test('a bare line end is found wherever the octets lie in memory, and what lies around them is not looked at', () => {
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 40 }),
      fc.nat(7),
      fc.constantFrom(10, 13, 65),
      (pieces, offset, around) => {
        const text = pieces.join('');
        const memory = Buffer.from(new ArrayBuffer(text.length + 16)).fill(around);
        memory.write(text, offset, 'latin1');
        const octets = memory.subarray(offset, offset + text.length);
        expect(hasBareLineEnd(octets)).toBe(/\r(?!\n)|(?<!\r)\n/.test(text));
      },
    ),
    { numRuns: 3_000 },
  );
});

test.each([
  ['', false],
  ['\r\n', false],
  ['\r', true],
  ['\n', true],
  ['\n\r', true],
  ['\r\r\n', true],
  ['\r\n\n', true],
  [`${'x'.repeat(9)}\r`, true],
  [`${'\xff'.repeat(9)}\n`, true],
  [`${'\x0b'.repeat(9)}\r\n${'\x80'.repeat(9)}\r\n`, false],
])('%j: %s', (text, isBare) => {
  expect(hasBareLineEnd(Buffer.from(text, 'latin1'))).toBe(isBare);
});
