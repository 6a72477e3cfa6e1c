import { expect, test } from 'vitest';
import { Turn } from '../../src/imap-proxy/turn.ts';
import { Openings } from '../../src/reading/openings.ts';

/** Whether a promise has settled by the time everything that was ready has run. */
async function isThere(promise: Promise<unknown>): Promise<boolean> {
  let there = false;
  void promise.then(() => {
    there = true;
  });
  for (let turns = 0; turns < 10; turns++) await Promise.resolve();
  return there;
}

const never = new AbortController().signal;
const LIMITS = { opening: { all: 4, each: 2 }, waiting: { all: 3, each: 1 } };

test('attack: logins that open mail and never type a PIN hold up nobody else', async () => {
  const openings = new Openings(LIMITS);
  for (const login of ['mallory', 'mallory', 'eve', 'eve', 'trudy']) {
    const place = await openings.enter(login, never);
    if (place?.wait() === false) place.leave();
  }
  const others = ['alice', 'alice', 'bob', 'bob'].map((login) => openings.enter(login, never));
  expect(await isThere(Promise.all(others))).toBe(true);
});

test('attack: a login that opens more than it may holds up nobody behind it', async () => {
  const openings = new Openings(LIMITS);
  const mallory = [1, 2, 3, 4, 5].map(() => openings.enter('mallory', never));
  const alice = openings.enter('alice', never);
  expect(await isThere(alice)).toBe(true);
  expect(await isThere(Promise.resolve(mallory[2]))).toBe(false);
  (await mallory[0])?.leave();
  expect(await isThere(Promise.resolve(mallory[2]))).toBe(true);
});

test('places are given in the order in which they were asked for', async () => {
  const openings = new Openings({ ...LIMITS, opening: { all: 1, each: 1 } });
  const [first, second, third] = ['a', 'b', 'c'].map((login) => openings.enter(login, never));
  (await first)?.leave();
  expect(await isThere(Promise.resolve(second))).toBe(true);
  expect(await isThere(Promise.resolve(third))).toBe(false);
  (await second)?.leave();
  expect(await isThere(Promise.resolve(third))).toBe(true);
});

test('what waits and is done gives its place back once, wherever it has it', async () => {
  const openings = new Openings({ ...LIMITS, opening: { all: 1, each: 1 } });
  const place = await openings.enter('alice', never);
  const next = openings.enter('alice', never);
  expect(await isThere(next)).toBe(false);
  expect(place?.wait()).toBe(true);
  expect(await isThere(next)).toBe(true);
  expect((await next)?.wait()).toBe(false);
  place?.leave();
  place?.leave();
  expect((await next)?.wait()).toBe(true);
});

test('who has gone gets no place, and leaves none behind', async () => {
  const openings = new Openings({ ...LIMITS, opening: { all: 1, each: 1 } });
  const gone = new AbortController();
  const place = await openings.enter('alice', never);
  const waiting = openings.enter('bob', gone.signal);
  gone.abort();
  expect(await waiting).toBeNull();
  expect(await openings.enter('bob', gone.signal)).toBeNull();
  place?.leave();
  expect(await isThere(openings.enter('carol', never))).toBe(true);
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
