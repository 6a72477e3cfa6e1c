import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NumberSet } from '../../../src/imap-proxy/search/number-set.ts';

const numbers = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });

test('sets behave as sets, and are written so that they read back the same', () => {
  fc.assert(
    fc.property(numbers, numbers, (one, other) => {
      const [a, b] = [new Set(one), new Set(other)];
      const [x, y] = [NumberSet.of(one), NumberSet.of(other)];
      const sorted = (each: Iterable<number>): number[] => [...each].sort((m, n) => m - n);
      expect([...x]).toEqual(sorted(a));
      expect([...x.or(y)]).toEqual(sorted(a.union(b)));
      expect([...x.and(y)]).toEqual(sorted(a.intersection(b)));
      expect([...x.minus(y)]).toEqual(sorted(a.difference(b)));
      expect([...x.xor(y)]).toEqual(sorted(a.symmetricDifference(b)));
      expect(x.size).toBe(a.size);
      expect([x.min, x.max]).toEqual(a.size === 0 ? [null, null] : [Math.min(...a), Math.max(...a)]);
      for (const each of other) expect(x.has(each)).toBe(a.has(each));
      if (!x.isEmpty) expect(NumberSet.read(x.toString())?.equals(x)).toBe(true);
    }),
  );
});

test('pieces are short and together the whole; a slice is by place', () => {
  fc.assert(
    fc.property(
      numbers,
      fc.integer({ min: 21, max: 60 }),
      fc.nat(45),
      fc.nat(45),
      (all, room, start, end) => {
        const set = NumberSet.of(all);
        const pieces = set.pieces(room);
        for (const piece of pieces) expect(piece.toString().length).toBeLessThanOrEqual(room);
        expect(pieces.flatMap((piece) => [...piece])).toEqual([...set]);
        expect([...set.slice(start, end)]).toEqual([...set].slice(start, end));
      },
    ),
  );
});

test('what is not a set of plain numbers is none', () => {
  for (const text of ['', '0', '1,', ',1', '1:', '1:2:3', '*', '1:*', '$', '4294967296', '1 2', '01']) {
    expect(NumberSet.read(text)).toBeNull();
  }
  expect(NumberSet.read('7:5,1,2:3,6')?.toString()).toBe('1:3,5:7');
  expect(NumberSet.read('1:4294967295')?.size).toBe(4_294_967_295);
});
