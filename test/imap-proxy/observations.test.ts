import { expect, test } from 'vitest';
import { Observations } from '../../src/imap-proxy/observations.ts';

/** Looks at one when it is told to. */
function looking() {
  const seen: string[] = [];
  const ends: (() => void)[] = [];
  const observations = new Observations((octets) => {
    seen.push(octets.toString('latin1', 0, 8));
    return new Promise((resolve) => ends.push(resolve));
  });
  const endAll = async () => {
    for (let end = ends.shift(); end !== undefined; end = ends.shift()) {
      end();
      await new Promise(setImmediate);
    }
  };
  return { seen, observations, endAll };
}

test('signed mail that comes in one go is looked at one after the other, none passed over', async () => {
  const { seen, observations, endAll } = looking();
  for (const name of ['one', 'two', 'three']) observations.add(Buffer.from(name));
  expect(seen).toEqual(['one']);
  await endAll();
  expect(seen).toEqual(['one', 'two', 'three']);
  observations.add(Buffer.from('four'));
  expect(seen.at(-1)).toBe('four');
});

test('what waits is bounded in number and in octets', async () => {
  const many = looking();
  for (let i = 0; i < 1_000; i++) many.observations.add(Buffer.from('x'));
  await many.endAll();
  expect(many.seen).toHaveLength(65);
  const large = looking();
  for (let i = 0; i < 10; i++) large.observations.add(Buffer.alloc(400 * 1024));
  await large.endAll();
  expect(large.seen).toHaveLength(3);
});
