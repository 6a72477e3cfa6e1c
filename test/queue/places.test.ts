import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Places, type Turn } from '../../src/queue/places.ts';
import { type Lane, type Place, RETRIES } from '../../src/queue/ports.ts';

const at = (seconds: number) => new Date(1_800_000_000_000 + seconds * 1_000);
const place = (destination: string): Place => ({ kind: 'smtp', destination });

class Simulation {
  readonly places: Places;
  readonly underWay: Turn[] = [];

  constructor({ atOnce = 2, underWay = 200, most = 1_000 } = {}) {
    this.places = new Places(() => atOnce, underWay, most);
  }

  expect(
    destination: string,
    { lane = 'alice', seconds = 0 }: { lane?: Lane; seconds?: number } = {},
  ): boolean {
    return this.places.expect({ place: place(destination), lane }, at(seconds), at(0));
  }

  /** Takes a turn as if as much were there as there is room, or so much as `claims` says. */
  take(now: Date, claims: number | null = null, next: Date | null = now): string | null {
    const turn = this.places.next(now);
    if (turn === null) return null;
    const count = claims ?? turn.room;
    this.places.claimed(turn, count, next, now);
    for (let i = 0; i < count; i++) this.underWay.push(turn);
    return `${turn.place.destination} ${turn.room}${turn.which === 'overdue' ? ' overdue' : ''}`;
  }

  /** The longest under way at that place has ended. */
  end(destination: string, away: string | null, now: Date): ReturnType<Places['ended']> {
    const i = this.underWay.findIndex((turn) => turn.place.destination === destination);
    const [turn] = this.underWay.splice(i, 1);
    if (turn === undefined) throw new Error('nothing is under way');
    return this.places.ended(turn, { away, now });
  }
}

test('places take turns, and none has more under way than it may', () => {
  const s = new Simulation();
  for (const name of ['a', 'b']) s.expect(name);
  expect([s.take(at(1)), s.take(at(1)), s.take(at(1))].sort()).toEqual(['a 2', 'b 2', null]);
  s.end('a', null, at(2));
  expect([s.take(at(2)), s.take(at(2))]).toEqual(['a 1', null]);
});

test('what is not due has no turn, and the time of the next one is known', () => {
  const s = new Simulation();
  expect(s.places.nextAt(at(0))).toBeNull();
  s.expect('a', { seconds: 30 });
  s.expect('b', { seconds: 20 });
  expect([s.take(at(10)), s.places.nextAt(at(10))]).toEqual([null, at(20)]);
  expect(s.take(at(20))).toBe('b 2');
});

test('what comes while a turn is being taken is due after it', () => {
  const s = new Simulation();
  s.expect('a');
  const turn = s.places.next(at(0));
  s.expect('a');
  if (turn !== null) s.places.claimed(turn, 1, null, at(0));
  expect(s.take(at(0))).toBe('a 1');
});

test('a place that is away is asked for one delivery after each pause, which grows; others go on meanwhile', () => {
  const s = new Simulation();
  s.expect('away');
  s.expect('there');
  for (const _ of [1, 2, 3]) s.take(at(0));
  expect(s.end('away', 'nobody answers', at(1))).toEqual({
    ...{ kind: 'paused', because: 'nobody answers' },
    until: at(11),
  });
  // The other one that was under way finds the same.
  expect(s.end('away', 'nobody answers', at(2))).toBeNull();
  s.end('there', null, at(3));
  // What may not wait with the rest is taken meanwhile.
  expect([s.take(at(3), 0, null), s.take(at(3), 0, null)].sort()).toEqual(['away 2 overdue', 'there 1']);
  expect(s.take(at(10))).toBeNull();
  expect(s.places.nextAt(at(10))).toEqual(at(11));
  expect(s.take(at(11))).toBe('away 1');
  // One is enough to find out.
  expect(s.take(at(11))).toBeNull();
  expect(s.end('away', 'nobody answers', at(12))).toMatchObject({ until: at(32) });
  expect([s.take(at(31), 0), s.take(at(31)), s.take(at(32))]).toEqual(['away 2 overdue', null, 'away 1']);
});

test('where what was to tell whether it is there again is gone, another one tells', () => {
  const s = new Simulation();
  for (const lane of ['alice', 'bob']) s.expect('a', { lane });
  s.take(at(0), 1, at(0));
  s.take(at(0), 1, at(0));
  s.end('a', 'gone', at(1));
  s.end('a', 'gone', at(1));
  expect([s.take(at(1), 0), s.take(at(11), 0, null), s.take(at(11)), s.take(at(11))]).toEqual([
    'a 2 overdue',
    'a 1',
    'a 1',
    null,
  ]);
});

test('the first delivery that is taken again ends the pause, and so does somebody who wants it called', () => {
  const s = new Simulation();
  s.expect('a');
  s.take(at(0));
  s.end('a', 'gone', at(1));
  s.end('a', 'gone', at(1));
  s.take(at(1), 0);
  expect(s.take(at(11))).toBe('a 1');
  expect(s.end('a', null, at(12))).toEqual({ kind: 'resumed' });
  expect(s.take(at(12))).toBe('a 2');
  s.end('a', 'gone', at(13));
  s.end('a', 'gone', at(13));
  s.take(at(13), 0);
  s.places.resume('a');
  expect(s.take(at(13))).toBe('a 2');
});

test('a clock that is set back makes no pause longer than it was', () => {
  const s = new Simulation();
  s.expect('a', { seconds: 100_000 });
  s.take(at(100_000));
  s.end('a', 'gone', at(100_000));
  s.end('a', 'gone', at(100_000));
  s.take(at(100_000), 0);
  s.expect('a');
  expect(s.take(at(1))).toBe('a 1');
});

test('at one place senders take turns, and what was tried before is one of them', () => {
  const s = new Simulation({ atOnce: 1 });
  const served: Lane[] = [];
  const serve = () => {
    const turn = s.places.next(at(1));
    if (turn === null || turn.which === 'overdue') throw new Error('nobody has a turn');
    served.push(turn.which.lane);
    // Alice and the retries have no end of it.
    const more = turn.which.lane === 'alice' || turn.which.lane === RETRIES;
    s.places.claimed(turn, 1, more ? at(1) : null, at(1));
    return () => s.places.ended(turn, { away: null, now: at(1) });
  };
  for (const lane of ['alice', RETRIES]) s.expect('server', { lane });
  for (let i = 0; i < 10; i++) serve()();
  const end = serve();
  s.expect('server', { lane: 'bob' });
  expect(s.places.next(at(1))).toBeNull();
  end();
  for (let i = 0; i < 3; i++) serve()();
  expect(served.slice(-3)).toContain('bob');
  expect(served.filter((lane) => lane === RETRIES).length).toBeGreaterThanOrEqual(6);
  expect(served.filter((lane) => lane === 'alice').length).toBeGreaterThanOrEqual(6);
});

test('nobody has more under way than is left for others, who begin at once', () => {
  const s = new Simulation({ underWay: 20, most: 200 });
  const begun = (name: string) =>
    s.underWay.filter(({ place: { destination } }) => destination === name).length;
  for (let i = 0; i < 100; i++) s.expect(`dead${i}`, { lane: RETRIES });
  for (let i = 0; i < 100; i++) s.expect(`new${i}`, { lane: 'spammer' });
  while (s.take(at(1), 1, null) !== null);
  expect(s.underWay.length).toBeLessThan(20);
  s.expect('healthy', { lane: 'alice' });
  s.take(at(1), 1, null);
  expect(begun('healthy')).toBe(1);
  // Of the same sender, what is new waits for one that ends, and not for all that came before.
  s.expect('other', { lane: 'spammer' });
  for (let i = 0; i < 3 && begun('other') === 0; i++) {
    const of = s.underWay.find(({ account }) => account === 'spammer');
    if (of !== undefined) s.end(of.place.destination, null, at(2));
    while (s.take(at(2), 1, null) !== null);
  }
  expect(begun('other')).toBe(1);
});

test('what comes when as much is known as may be is left to the rows, new mail last', () => {
  const s = new Simulation({ underWay: 20, most: 100 });
  const room = (lane: Lane, from: number, seconds = 0) =>
    Array.from({ length: 200 }, (_, i) => s.expect(`${from + i}`, { lane, seconds })).filter(Boolean).length;
  expect(room(RETRIES, 0)).toBe(100);
  // What is due later is looked for then.
  expect(room(RETRIES, 1_000, 3_600)).toBe(200);
  expect(room('alice', 2_000)).toBe(100);
  expect(s.places.nextAt(at(0))).toEqual(at(0));
  let turns = 0;
  for (; s.take(at(1), 0, null) !== null; turns++);
  expect(turns).toBe(200);
  expect(s.places.nextAt(at(1))).toBeNull();
});

test('a turn among many places takes no longer for their number', () => {
  const s = new Simulation({ most: 200_000 });
  const count = 30_000;
  for (let i = 0; i < count; i++) s.expect(`${i}`, { lane: i % 2 === 0 ? RETRIES : 'spammer' });
  let taken = 0;
  const take = () => {
    while (s.take(at(2), 1, null) !== null) taken++;
  };
  take();
  // Each of these would go through all places, 900,000,000 in all.
  for (let i = 0; i < count; i++) {
    s.end(s.underWay[0]?.place.destination ?? '', null, at(2));
    take();
  }
  expect(taken).toBe(count);
});

test('whatever ends when, all that is due has its turn, and nobody more than there is room for', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(2)), { minLength: 1, maxLength: 40 }),
      fc.array(fc.tuple(fc.nat(9), fc.constantFrom(null, 'gone', undefined)), { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      (mails, ends, atOnce) => {
        const places = new Places(() => atOnce, 8, 1_000);
        const left = new Map<string, number>();
        const nameOf = (name: string, lane: string) => `${name} ${lane}`;
        for (const [to, from, count] of mails) {
          const [name, lane] = [`p${to}`, from === 0 ? RETRIES : `s${from}`];
          left.set(nameOf(name, lane), (left.get(nameOf(name, lane)) ?? 0) + count);
          places.expect({ place: place(name), lane }, at(0), at(0));
        }
        const under: Turn[] = [];
        let now = 0;
        const begin = () => {
          for (let i = 0; i < 1_000; i++) {
            const turn = places.next(at(now));
            if (turn === null) return;
            if (turn.which === 'overdue') {
              places.claimed(turn, 0, null, at(now));
              continue;
            }
            const key = nameOf(turn.place.destination, turn.which.lane);
            const waiting = left.get(key) ?? 0;
            const claims = Math.min(waiting, turn.room);
            left.set(key, waiting - claims);
            places.claimed(turn, claims, waiting > claims ? at(now) : null, at(now));
            for (let j = 0; j < claims; j++) under.push(turn);
            expect(under.length).toBeLessThanOrEqual(8);
            const here = under.filter((one) => one.place.destination === turn.place.destination);
            expect(here.length).toBeLessThanOrEqual(atOnce);
          }
          throw new Error('turns without an end');
        };
        const end = (which: number, away: string | null | undefined) => {
          const [turn] = under.splice(which % Math.max(1, under.length), 1);
          if (turn !== undefined)
            places.ended(turn, { ...(away === undefined ? {} : { away }), now: at(now) });
        };
        begin();
        for (const [which, away] of ends) {
          now++;
          end(which, away);
          begin();
        }
        // In the end everybody is there.
        for (let i = 0; i < 500 && (under.length > 0 || i < 50); i++) {
          now += 100;
          end(i, null);
          begin();
        }
        expect([...left.values()].reduce((sum, one) => sum + one, 0)).toBe(0);
        expect(under).toEqual([]);
      },
    ),
    { numRuns: 200 },
  );
});
