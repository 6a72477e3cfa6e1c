import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Openings, type Place } from '../../src/reading/openings.ts';

const LIMITS = { opening: { all: 4, each: 2 }, waiting: { all: 100, each: 1 } };
const never = new AbortController().signal;

/** A session that asks for one message after the other, and where the places come from and go. */
type Session = { login: string; place: Place | null; asking: boolean };

const step = fc.oneof(
  fc.record({ kind: fc.constant('asks' as const), session: fc.nat(30) }),
  fc.record({ kind: fc.constant('leaves' as const), session: fc.nat(30) }),
);

test('whoever has nothing and waits is passed over by each other login once at most', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(7), { minLength: 2, maxLength: 30 }),
      fc.array(step, { maxLength: 200 }),
      async (logins, steps) => {
        const openings = new Openings(LIMITS);
        const sessions: Session[] = logins.map((login) => ({
          login: `${login}`,
          place: null,
          asking: false,
        }));
        const has = (login: string): number =>
          sessions.filter((each) => each.login === login && each.place !== null).length;
        /** Of each login that waits with nothing: who was served before it since then. */
        const passed = new Map<string, string[]>();
        for (const { kind, session: at } of steps) {
          const session = sessions[at % sessions.length];
          if (session === undefined) continue;
          const { login } = session;
          if (kind === 'asks' && !session.asking && session.place === null) {
            session.asking = true;
            void openings.enter(login, never).then((place) => {
              for (const [other, before] of passed) if (other !== login) before.push(login);
              passed.delete(login);
              session.asking = false;
              session.place = place;
            });
          } else if (kind === 'leaves') {
            session.place?.leave();
            session.place = null;
          }
          for (let turns = 0; turns < 5; turns++) await Promise.resolve();
          expect(sessions.filter(({ place }) => place !== null).length).toBeLessThanOrEqual(4);
          for (const each of new Set(sessions.map((one) => one.login))) {
            expect(has(each)).toBeLessThanOrEqual(2);
            const waits = sessions.some((one) => one.login === each && one.asking);
            if (!waits || has(each) > 0) passed.delete(each);
            else if (!passed.has(each)) passed.set(each, []);
          }
          for (const [, before] of passed) expect(new Set(before).size).toBe(before.length);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('attack: a login with a hundred sessions gets no more than one with a single session', async () => {
  const openings = new Openings({ ...LIMITS, opening: { all: 1, each: 1 } });
  const served: string[] = [];
  const reads = async (login: string, messages: number): Promise<void> => {
    for (let left = messages; left > 0; left--) {
      const place = await openings.enter(login, never);
      served.push(login);
      await Promise.resolve();
      place?.leave();
    }
  };
  const mallory = Array.from({ length: 100 }, () => reads('mallory', 10));
  await Promise.all([...mallory, reads('alice', 20), reads('bob', 20)]);
  const last = Math.max(served.lastIndexOf('alice'), served.lastIndexOf('bob'));
  // Of the turns until both are done each has a third, as far as it asks again in time.
  expect(last).toBeLessThan(90);
});
