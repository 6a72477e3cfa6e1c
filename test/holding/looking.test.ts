import { afterEach, beforeEach, expect, test } from 'vitest';
import { insertPart } from '../../src/holding/held-rows.ts';
import { Looking } from '../../src/holding/looking.ts';
import { awaitOutcome, makeWish, openWishes, takeWish } from '../../src/holding/wishes.ts';
import { sql } from '../../src/store/sql-store.ts';
import { DAY_MS } from '../queue/support/queue.ts';
import { type Desk, mailToHold, startDesk, states } from './support/desk.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await startDesk();
});
afterEach(async () => {
  await desk.looking.stop();
  await desk.stop();
});

const BOB = 'bob@partner.example';

test('what is there at the start is looked at; what is told later at once, however it is spelt', async () => {
  const [one, two] = [mailToHold(), mailToHold({ to: ['Carol@Partner.example'] })];
  await desk.desk.hold([one]);
  await desk.desk.hold([two]);
  desk.known.set(BOB, 'certificate');
  const looked: string[] = [];
  const look = desk.releases.look.bind(desk.releases);
  desk.releases.look = async (part) => {
    await look(part);
    looked.push(part.id);
  };
  desk.looking.start();
  await expect.poll(() => states(desk, one.id)).toEqual([`${BOB} leaving`]);
  // Both are looked at side by side; what is known from now on comes too late for the start.
  await expect.poll(() => looked).toContain(two.id);
  desk.known.set('Carol@Partner.example', 'certificate');
  expect(await states(desk, two.id)).toEqual(['Carol@partner.example waiting']);
  desk.looking.told('carol@partner.example');
  await expect.poll(() => states(desk, two.id)).toEqual(['Carol@partner.example leaving']);
});

test('one mail that cannot be looked at holds up no other', async () => {
  const mails = [mailToHold(), mailToHold({ to: ['carol@partner.example'] }), mailToHold()];
  for (const mail of mails) await desk.desk.hold([mail]);
  desk.known.set(BOB, 'certificate').set('carol@partner.example', 'certificate');
  const settle = desk.held.settle.bind(desk.held);
  const [first] = mails;
  desk.held.settle = (part, ...rest) =>
    part.id === first?.id ? Promise.reject(new Error('unforeseen')) : settle(part, ...rest);
  desk.looking.start();
  for (const mail of mails.slice(1)) {
    await expect.poll(async () => (await states(desk, mail.id)).join()).toContain('leaving');
  }
  await expect.poll(() => desk.events.some(({ event }) => event === 'gateway.defect')).toBe(true);
  for (const { id } of mails.slice(0, 1)) expect(await states(desk, id)).toEqual([`${BOB} waiting`]);
});

test('whose time is over is given up by itself', async () => {
  const mail = mailToHold();
  await desk.desk.hold([mail]);
  desk.time.now = new Date(desk.time.now.getTime() + 15 * DAY_MS);
  desk.looking.start();
  await expect.poll(() => states(desk, mail.id)).toEqual([`${BOB} expired`]);
  expect((await desk.queued()).map(({ purpose }) => purpose)).toEqual(['report']);
});

test('what commands wish is done once, and they hear what came of it', async () => {
  const mail = mailToHold();
  await desk.desk.hold([mail]);
  const wish = (choice: 'discard' | 'send-signed') =>
    makeWish(desk.store, { mail: mail.id, choice, recipients: null, by: 'root' }, desk.time.now);
  const [signed, discarded] = [await wish('send-signed'), await wish('discard')];
  expect(await awaitOutcome(desk.store, signed, { milliseconds: 0 })).toBeNull();
  desk.looking.start();
  expect(await awaitOutcome(desk.store, signed, { milliseconds: 30_000 })).toMatchObject({ kind: 'refused' });
  expect(await awaitOutcome(desk.store, discarded, { milliseconds: 30_000 })).toEqual({ kind: 'done' });
  expect(await states(desk, mail.id)).toEqual([`${BOB} discarded`]);
  expect((await desk.queued()).map(({ purpose }) => purpose)).toEqual(['report']);
});

test('of several gateways one does what is wished, and what it says of it is heard', async () => {
  const mail = mailToHold();
  await desk.desk.hold([mail]);
  const { store, held, releases, mails } = desk;
  let asked = 0;
  const begun: (() => void)[] = [];
  const slow = {
    choose: async (...args: Parameters<typeof mails.choose>) => {
      await new Promise<void>((resolve) => begun.push(resolve));
      return mails.choose(...args);
    },
  } as typeof mails;
  const gateway = (count: () => void) =>
    new Looking({
      ...{ store, held, releases, mails: slow, everyMs: 3_600_000, log: { write: () => undefined } },
      clock: () => {
        count();
        return desk.time.now;
      },
    });
  const [one, other] = [gateway(() => undefined), gateway(() => asked++)];
  const wish = { mail: mail.id, choice: 'discard', recipients: null, by: 'root' } as const;
  const discarded = await makeWish(store, wish, desk.time.now);
  one.start();
  await expect.poll(() => begun.length).toBe(1);
  other.start();
  // It has looked, or it has begun as well.
  await expect.poll(() => begun.length === 2 || asked >= 3).toBe(true);
  for (const go of begun) go();
  expect(await awaitOutcome(store, discarded, { milliseconds: 30_000 })).toEqual({ kind: 'done' });
  await Promise.all([one.stop(), other.stop()]);
  expect(begun).toHaveLength(1);
  // Of one that was taken for dead another one does it.
  const again = await makeWish(store, wish, desk.time.now);
  expect(await takeWish(store, again, desk.time.now)).not.toBeNull();
  expect(await openWishes(store, desk.time.now)).toEqual([]);
  desk.time.now = new Date(desk.time.now.getTime() + 61_000);
  expect(await openWishes(store, desk.time.now)).toMatchObject([{ id: again }]);
});

test('more wait for one address than are read at once, and all of them leave when her certificate comes', async () => {
  const first = mailToHold({ to: ['carol@partner.example'] });
  await desk.desk.hold([first]);
  desk.known.set('carol@partner.example', 'certificate');
  desk.looking.start();
  // The look at everything comes again in an hour.
  await expect.poll(() => states(desk, first.id)).toEqual(['carol@partner.example leaving']);
  const at = { heldAt: desk.time.now, expiresAt: new Date(desk.time.now.getTime() + DAY_MS) };
  const many = Array.from({ length: 1_010 }, (_, i) =>
    insertPart(`many${String(i).padStart(4, '0')}`, mailToHold(), at),
  );
  await desk.store.transaction(many.flat());
  const looked = new Set<string>();
  desk.releases.look = async ({ spool }) => void looked.add(spool);
  desk.looking.told(BOB);
  await expect.poll(() => looked.size).toBe(1_010);
});

test('a wish that cannot be done holds up no other', async () => {
  const [first, second] = [mailToHold(), mailToHold()];
  await desk.desk.hold([first]);
  await desk.desk.hold([second]);
  const find = desk.mails.find.bind(desk.mails);
  desk.mails.find = (id) => (id === first.id ? Promise.reject(new Error('unforeseen')) : find(id));
  const wish = (mail: typeof first) =>
    makeWish(desk.store, { mail: mail.id, choice: 'discard', recipients: null, by: 'root' }, desk.time.now);
  const [failing, good] = [await wish(first), await wish(second)];
  desk.looking.start();
  expect(await awaitOutcome(desk.store, good, { milliseconds: 30_000 })).toEqual({ kind: 'done' });
  expect(await awaitOutcome(desk.store, failing, { milliseconds: 30_000 })).toMatchObject({ kind: 'failed' });
  expect(desk.events.some(({ event }) => event === 'gateway.defect')).toBe(true);
});

test('what was settled is forgotten after a week, and what waits never', async () => {
  const [settled, waiting] = [mailToHold(), mailToHold()];
  await desk.desk.hold([settled]);
  await desk.desk.hold([waiting]);
  await desk.mails.choose(settled.id, 'discard', { recipients: null, by: 'alice@example.org' });
  desk.time.now = new Date(desk.time.now.getTime() + 8 * DAY_MS);
  desk.looking.start();
  await expect.poll(() => desk.mails.find(settled.id)).toBeNull();
  expect(await states(desk, waiting.id)).toEqual([`${BOB} waiting`]);
  expect(await desk.store.query(sql`SELECT count(*) AS n FROM held_settled`)).toEqual([{ n: 0 }]);
});
