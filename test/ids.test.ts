import { expect, it } from 'vitest';
import { newMailId } from '../src/ids.ts';

it('makes ids that sort by time, differ by chance and hold no letter that is taken for another', () => {
  const before = Date.now();
  const ids = Array.from({ length: 10_000 }, newMailId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{20}$/);
  const times = ids.map((id) => timeOf(id));
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(times[0]).toBeGreaterThanOrEqual(before);
  expect(times.at(-1)).toBeLessThanOrEqual(Date.now());
});

it('uses every character in every place of chance', () => {
  const ids = Array.from({ length: 4_000 }, newMailId);
  for (let place = 10; place < 20; place++) expect(new Set(ids.map((id) => id[place])).size).toBe(32);
});

function timeOf(id: string): number {
  return [...id.slice(0, 10)].reduce(
    (value, char) => value * 32 + '0123456789abcdefghjkmnpqrstvwxyz'.indexOf(char),
    0,
  );
}
