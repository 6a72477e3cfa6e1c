import { expect, test } from 'vitest';
import { MemoryGate, type Room } from '../../src/imap-proxy/memory-gate.ts';
import { Turn } from '../../src/imap-proxy/turn.ts';

/** Whether a promise has settled by the time everything that was ready has run. */
async function isThere(promise: Promise<unknown>): Promise<boolean> {
  let there = false;
  void promise.then(() => {
    there = true;
  });
  for (let turns = 0; turns < 10; turns++) await Promise.resolve();
  return there;
}

test('attack: logins that open large mail and never type a PIN hold up nobody else', async () => {
  const gate = new MemoryGate(100, { all: 100, each: 40 });
  const rooms: Room[] = [];
  for (const owner of ['mallory', 'mallory', 'eve', 'trudy']) {
    const room = await gate.enter(40);
    rooms.push(room);
    if (!room.wait(owner)) room.leave();
  }
  // One of each fits while they wait, and none of mallory's second: 40 + 40 + no third.
  const alice = [gate.enter(50), gate.enter(50)];
  expect(await isThere(Promise.all(alice))).toBe(true);
  for (const room of rooms) room.leave();
  for (const room of alice) (await room).leave();
});

test('one message of any size may wait for each login, more only up to what each may have', async () => {
  const gate = new MemoryGate(100, { all: 100, each: 40 });
  const [large, small, other] = [await gate.enter(90), await gate.enter(5), await gate.enter(5)];
  expect(large.wait('alice')).toBe(true);
  expect(small.wait('alice')).toBe(false);
  expect(other.wait('bob')).toBe(true);
  large.leave();
  expect(small.wait('alice')).toBe(true);
});

test('what waits and is done gives its place back once, wherever it has it', async () => {
  const gate = new MemoryGate(10);
  const room = await gate.enter(10);
  const next = gate.enter(10);
  expect(await isThere(next)).toBe(false);
  expect(room.wait('alice')).toBe(true);
  expect(await isThere(next)).toBe(true);
  room.leave();
  room.leave();
  expect(room.wait('alice')).toBe(true);
  const third = gate.enter(10);
  expect(await isThere(third)).toBe(false);
  (await next).leave();
  expect(await isThere(third)).toBe(true);
});

test('turns are taken in order; who gives up waiting is passed over', async () => {
  const turn = new Turn();
  expect(await turn.take()).toBe(true);
  const controller = new AbortController();
  const given = [turn.take(controller.signal), turn.take()];
  controller.abort();
  expect(await given[0]).toBe(false);
  turn.give();
  expect(await given[1]).toBe(true);
  turn.give();
  expect(await turn.take(controller.signal)).toBe(false);
  expect(await turn.take()).toBe(true);
});
