import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import { eventually } from '../support/eventually.ts';
import { type Desk, mailToHold, startDesk } from './support/desk.ts';

/**
 * The database fails once at each thing that is done when a certificate has come for somebody who waits: her mail leaves all the same, once, and
 * not only when all that waits is looked at again.
 */

type Fault = (run: () => Promise<never>) => Promise<never>;
const away = () =>
  new SealgateError({ code: 'store.unavailable', publicText: 'It is away.', duration: 'temporary' });
const FAULTS: readonly [string, Fault][] = [
  [
    'is away',
    async () => {
      throw away();
    },
  ],
  [
    'has written it, and says otherwise',
    async (run) => {
      await run();
      throw away();
    },
  ],
];
/** So many calls of the database are made where nothing fails. */
const STEPS = Array.from({ length: 9 }, (_, i) => i + 1);

let desk: Desk;
let left: number;
let hasLooked: boolean;
let fault: Fault;
beforeEach(async () => {
  [left, hasLooked] = [0, false];
  const each = (run: () => Promise<never>) => (left > 0 && --left === 0 ? fault(run) : run());
  desk = await startDesk({
    around: ({ store, spool }) => ({
      spool,
      store: {
        query: (one) => each(() => store.query(one) as Promise<never>),
        async transaction(some) {
          const said = await each(() => store.transaction(some) as Promise<never>);
          // The end of a look at everything.
          hasLooked ||= some.some(({ sql: text }) => text.includes('DELETE FROM introduced'));
          return said;
        },
        close: () => store.close(),
      } satisfies SqlStore,
    }),
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(async () => {
  vi.useRealTimers();
  await desk.looking.stop();
  await desk.stop();
});

/** Of the two things that it does by itself, each has a timer while it does nothing. */
async function atRest(): Promise<void> {
  while (vi.getTimerCount() < 2) await new Promise((resolve) => setImmediate(resolve));
}

/** By timers that do not wait for it; what is done when they end has the time that it takes. */
async function withinAMinute(isSo: () => Promise<boolean>): Promise<boolean> {
  for (let second = 0; second < 60; second++) {
    await atRest();
    if (await isSo()) return true;
    await vi.advanceTimersByTimeAsync(1_000);
  }
  await atRest();
  return isSo();
}

test.each(FAULTS.flatMap(([name, what]) => STEPS.map((at) => [name, at, what] as const)))(
  'a database that %s, at call %i',
  async (_, at, what) => {
    const mail = mailToHold();
    await desk.desk.hold([mailToHold({ to: ['carol@partner.example'] }), mail]);
    desk.looking.start();
    await eventually(() => expect(hasLooked).toBe(true), 5);
    await atRest();
    fault = what;
    desk.known.set('bob@partner.example', 'certificate');
    left = at;
    desk.looking.told('bob@partner.example');
    const settled = sql`SELECT s.state, h.mail FROM held_settled s, held h WHERE h.spool = s.spool`;
    expect(await withinAMinute(async () => (await desk.store.query(settled)).length > 0)).toBe(true);
    expect(await desk.store.query(settled)).toEqual([{ state: 'leaving', mail: mail.id }]);
    expect((await desk.queued()).map(({ purpose }) => purpose)).toEqual(['released']);
  },
);
