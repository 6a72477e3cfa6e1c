import fc from 'fast-check';
import { expect, test } from 'vitest';
import { finder } from '../../../src/imap-proxy/search/finder.ts';

const repeated = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'ä'), fc.integer({ min: 1, max: 300 })), { maxLength: 6 })
  .map((runs) => runs.map(([letter, times]) => letter.repeat(times)).join(''));

test('words of any length are found where they are, and nowhere else', () => {
  fc.assert(
    fc.property(repeated, repeated, fc.nat(), fc.nat(), (text, other, from, length) => {
      for (const words of [other, text.slice(from % (text.length + 1)).slice(0, length % 1_000)]) {
        expect(finder(words)(text)).toBe(text.includes(words));
      }
    }),
    { numRuns: 2_000 },
  );
});

test('attack: words that repeat themselves take no longer in a text that does', () => {
  const half = 'a'.repeat(30_000);
  const has = finder(`${half}b${half}`);
  // Half a minute, one comparison after another.
  for (let times = 0; times < 10; times++) expect(has('a'.repeat(256 * 1024))).toBe(false);
  expect(has(`${half}${half}b${half}`)).toBe(true);
});

test('no text has words that cannot be read', () => {
  expect(finder(null)('')).toBe(false);
  expect(finder('')('')).toBe(true);
});
