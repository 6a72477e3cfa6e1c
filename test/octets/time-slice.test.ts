import { expect, test } from 'vitest';
import { TimeSlice } from '../../src/octets/time-slice.ts';

test('work has its time, then others have theirs, then it goes on with as much', async () => {
  let now = 100;
  let turns = 0;
  const slice = new TimeSlice(
    () => now,
    async () => {
      turns++;
      now += 50;
    },
  );
  expect(slice.over()).toBeNull();
  now = 104;
  expect(slice.over()).toBeNull();
  now = 105;
  await slice.over();
  expect([turns, slice.over()]).toEqual([1, null]);
  now += 5;
  expect(slice.over()).not.toBeNull();
});

test('others are timers and sockets, not only what is ready', async () => {
  let now = 0;
  const slice = new TimeSlice(() => now);
  now = 10;
  let heard = false;
  setImmediate(() => {
    heard = true;
  });
  await slice.over();
  expect(heard).toBe(true);
});
