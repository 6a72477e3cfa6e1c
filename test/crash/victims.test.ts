import { expect, test } from 'vitest';
import { chanceOf } from './chance.ts';
import { victimsByChance } from './victims.ts';

const VICTIMS = ['node 1', 'node 2', 'node 3', 'the mail server', 'a key process', 'Redis', 'PostgreSQL'];
const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);

function killed(seed: number, count: number): readonly string[] {
  const next = victimsByChance(VICTIMS, chanceOf(seed));
  return Array.from({ length: count }, () => next.next().value);
}

test('whatever the seed, nobody is spared in as many kills as there are victims', () => {
  for (const seed of SEEDS) {
    expect(new Set(killed(seed, VICTIMS.length))).toEqual(new Set(VICTIMS));
  }
});

test('the seed decides: the same order for the same one, and others for others', () => {
  const orders = SEEDS.map((seed) => killed(seed, 20).join());
  expect(SEEDS.map((seed) => killed(seed, 20).join())).toEqual(orders);
  expect(new Set(orders).size).toBe(SEEDS.length);
});

test('each may be the first, and behind the first round anybody may come, twice in a row too', () => {
  const first = SEEDS.map((seed) => killed(seed, 1)[0]);
  expect(new Set(first)).toEqual(new Set(VICTIMS));
  const behind = SEEDS.map((seed) => killed(seed, 9).slice(-2));
  expect(new Set(behind.flat())).toEqual(new Set(VICTIMS));
  expect(behind.some(([one, other]) => one === other)).toBe(true);
});
