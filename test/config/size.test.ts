import { expect, test } from 'vitest';
import { octetsFrom, sizeText } from '../../src/config/size.ts';

test.each([
  ['0', 0],
  ['1024', 1024],
  ['25 MiB', 26_214_400],
  ['25MiB', 26_214_400],
  ['1 KiB', 1024],
  ['1 GiB', 1_073_741_824],
])('%s are %d octets', (text, octets) => {
  expect(octetsFrom(text)).toBe(octets);
});

test.each(['', ' 1', '1 ', '1 kib', '1 MB', '1 GB', '-1', '1.5 MiB', '1e3', '1 TiB', '9999999999', '1\nMiB'])(
  '%j is no size',
  (text) => {
    expect(octetsFrom(text)).toBeNull();
  },
);

test('a size is written in the largest unit of which it is a whole number, and is read back', () => {
  expect([1, 1023, 1024, 1536, 1_048_576, 1_573_912_576, 68_719_476_736].map(sizeText)).toEqual([
    ...['1', '1023', '1 KiB', '1536', '1 MiB', '1501 MiB'],
    '64 GiB',
  ]);
  for (const octets of [1, 1024, 52_428_800, 1_073_741_824])
    expect(octetsFrom(sizeText(octets))).toBe(octets);
});
