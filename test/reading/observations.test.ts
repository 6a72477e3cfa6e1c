import { expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collect } from '../../src/octets/collect.ts';
import { Observations } from '../../src/reading/observations.ts';

/** Looks at one until it is told to end. */
function looking(most = 1024 * 1024) {
  const seen: string[] = [];
  const discarded: string[] = [];
  const ends: (() => void)[] = [];
  const observations = new Observations(async (octets) => {
    seen.push((await collect(octets.read(0, 8))).toString('latin1'));
    await new Promise<void>((resolve) => ends.push(resolve));
  }, most);
  const add = (name: string, octets = Buffer.from(name)) =>
    observations.add(bufferSource(octets), async () => void discarded.push(name));
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const endAll = async () => {
    await settled();
    for (let end = ends.shift(); end !== undefined; end = ends.shift()) {
      end();
      await settled();
    }
  };
  return { seen, discarded, add, settled, endAll };
}

test('signed mail that comes in one go is looked at one after the other, none passed over', async () => {
  const { seen, discarded, add, settled, endAll } = looking();
  for (const name of ['one', 'two', 'three']) add(name);
  await settled();
  expect(seen).toEqual(['one']);
  expect(discarded).toEqual([]);
  await endAll();
  expect(seen).toEqual(['one', 'two', 'three']);
  expect(discarded).toEqual(seen);
  add('four');
  await settled();
  expect(seen.at(-1)).toBe('four');
});

test('what waits is bounded in number and in octets, and what is not looked at is discarded at once', async () => {
  const many = looking();
  for (let i = 0; i < 1_000; i++) many.add(`${i}`);
  expect(many.discarded).toHaveLength(935);
  await many.endAll();
  expect(many.seen).toHaveLength(65);
  expect(new Set(many.discarded).size).toBe(1_000);
  const large = looking();
  for (let i = 0; i < 10; i++) large.add(`${i}`, Buffer.alloc(400 * 1024));
  await large.endAll();
  expect(large.seen).toHaveLength(3);
});
