import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Turns } from '../../src/octets/turns.ts';

it('nobody waits as long as there is time', () => {
  const turns = new Turns(() => 0);
  expect([turns.over(), turns.over(), turns.over()]).toEqual([null, null, null]);
});

it('once it is over one goes on in each turn, in their order, and nobody overtakes them', async () => {
  let now = 0;
  const turns = new Turns(() => now);
  expect(turns.over()).toBeNull();
  now = 5;
  const order: string[] = [];
  for (const name of ['a', 'b', 'c']) void turns.over()?.then(() => order.push(name));
  await setImmediate();
  expect(order).toEqual(['a']);
  // There is time again, but others wait.
  void turns.over()?.then(() => order.push('d'));
  await setImmediate();
  expect(order).toEqual(['a', 'b']);
  await setImmediate();
  await setImmediate();
  expect(order).toEqual(['a', 'b', 'c', 'd']);
  expect(turns.over()).toBeNull();
});

it('with the next turn of the loop there is time again', async () => {
  let now = 0;
  const turns = new Turns(() => now);
  turns.over();
  now = 100;
  await setImmediate();
  expect(turns.over()).toBeNull();
});
