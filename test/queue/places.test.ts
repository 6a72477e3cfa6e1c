import { expect, test } from 'vitest';
import { Places } from '../../src/queue/places.ts';
import type { Place } from '../../src/queue/ports.ts';

const at = (seconds: number) => new Date(1_800_000_000_000 + seconds * 1_000);
const place = (destination: string): Place => ({ kind: 'smtp', destination });
const due = (...names: string[]) => {
  const places = new Places(() => 2);
  for (const name of names) places.expect({ place: place(name), at: at(0) });
  return places;
};
/** Takes a turn as if as much were there as there is room. */
function take(places: Places, now: Date): string | null {
  const turn = places.next(now);
  if (turn === null) return null;
  places.claimed(turn, turn.room, now, now);
  return `${turn.place.destination} ${turn.room}${turn.which === 'overdue' ? ' overdue' : ''}`;
}

test('places take turns, and none has more under way than it may', () => {
  const places = due('a', 'b');
  expect([take(places, at(1)), take(places, at(1)), take(places, at(1))]).toEqual(['a 2', 'b 2', null]);
  places.ended(place('a'), { away: null, now: at(2) });
  expect([take(places, at(2)), take(places, at(2))]).toEqual(['a 1', null]);
});

test('what is not due has no turn, and the time of the next one is known', () => {
  const places = due();
  expect(places.nextAt(at(0))).toBeNull();
  places.expect({ place: place('a'), at: at(30) });
  places.expect({ place: place('b'), at: at(20) });
  expect([take(places, at(10)), places.nextAt(at(10))]).toEqual([null, at(20)]);
  expect(take(places, at(20))).toBe('b 2');
});

test('a place that is away is asked for one delivery after each pause, which grows; others go on meanwhile', () => {
  const places = due('away', 'there');
  take(places, at(0));
  take(places, at(0));
  const ended = (now: Date) => places.ended(place('away'), { away: 'nobody answers', now });
  expect(ended(at(1))).toEqual({ kind: 'paused', because: 'nobody answers', until: at(11) });
  // The other one that was under way finds the same.
  expect(ended(at(2))).toBeNull();
  places.ended(place('there'), { away: null, now: at(3) });
  // What may not wait with the rest is taken meanwhile.
  const overdue = places.next(at(3));
  expect(overdue).toMatchObject({ which: 'overdue', because: 'nobody answers' });
  if (overdue !== null) places.claimed(overdue, 0, null, at(3));
  expect([take(places, at(3)), take(places, at(10))]).toEqual(['there 1', null]);
  expect(take(places, at(11))).toBe('away 1');
  // One is enough to find out.
  expect(take(places, at(11))).toBeNull();
  expect(ended(at(12))).toMatchObject({ until: at(32) });
  places.next(at(32));
});

test('the first delivery that is taken again ends the pause, and so does somebody who wants it called', () => {
  const places = due('a');
  take(places, at(0));
  places.ended(place('a'), { away: 'gone', now: at(1) });
  places.ended(place('a'), { away: 'gone', now: at(1) });
  expect(take(places, at(11))).toBe('a 1');
  expect(places.ended(place('a'), { away: null, now: at(12) })).toEqual({ kind: 'resumed' });
  expect(take(places, at(12))).toBe('a 2');
  places.ended(place('a'), { away: 'gone', now: at(13) });
  places.ended(place('a'), { away: 'gone', now: at(13) });
  places.resume('a');
  expect(take(places, at(13))).toBe('a 2');
});

test('a clock that is set back makes no pause longer than it was', () => {
  const places = due('a');
  take(places, at(100_000));
  places.ended(place('a'), { away: 'gone', now: at(100_000) });
  places.ended(place('a'), { away: 'gone', now: at(100_000) });
  places.expect({ place: place('a'), at: at(0) });
  expect(take(places, at(1))).toBe('a 1');
});
