import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { Deliverer, type DelivererParts } from '../../src/queue/deliverer.ts';
import { readDeliveries } from '../../src/queue/delivery-rows.ts';
import { DurableQueue } from '../../src/queue/durable-queue.ts';
import { LEASE_MS } from '../../src/queue/leases.ts';
import { OwnMails } from '../../src/queue/own-mail.ts';
import { OwnWork } from '../../src/queue/own-work.ts';
import { SPOOL } from '../../src/queue/spool-folder.ts';
import type { SqlStore } from '../../src/store/sql-store.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';
import { mailTo, startTestQueue, type TestQueue } from './support/queue.ts';
import { ScriptedCourier } from './support/scripted-courier.ts';

/**
 * The database, the courier or the log fails once, or the gateway is stopped, at each thing that a deliverer does: no mail is lost, none waits for
 * nothing, and others have their turn meanwhile.
 */

const identity = ownIdentity([newOwnKey()]);
const HOUR_MS = 3_600_000;

let q: TestQueue;
let ahead: number;
let courier: ScriptedCourier;
/** By local part: how often the mail server has taken it. */
let taken: Map<string, number>;
beforeEach(async () => {
  q = await startTestQueue();
  ahead = 0;
  taken = new Map();
  courier = new ScriptedCourier((localPart) => {
    if (localPart === 'gone') return 'failed';
    if (localPart === 'busy' && ahead === 0) return 'later';
    taken.set(localPart, (taken.get(localPart) ?? 0) + 1);
    return 'delivered';
  });
});
afterEach(() => q.stop());

const clock = (): Date => new Date(Date.now() + ahead);
const log = { write: (event: (typeof q.events)[number]) => void q.events.push(event) };
const to = (...names: readonly string[]) =>
  mailTo({ time: { now: clock() } }, { to: names.map((name) => `${name}@partner.example`) });

function deliverer(changes: Partial<DelivererParts> = {}): { deliverer: Deliverer; queue: DurableQueue } {
  const { store = q.store } = changes;
  const work = new OwnWork();
  const queue = new DurableQueue({ store, spool: q.spool, router: null, work, clock, log });
  const running = new Deliverer({
    ...{ store, spool: q.spool, queue, clock, log, hostname: 'gateway.test', server: 'mail.test' },
    ownMails: new OwnMails({ identity, hostname: 'gateway.test', days: 5, clock, log }),
    courier: () => courier,
    ...{ work, most: 10, alone: true, atOnce: () => 4 },
    ...changes,
  });
  // What is put in is put in by a database that works.
  const putIn = new DurableQueue({ store: q.store, spool: q.spool, router: null, work, clock, log });
  return { deliverer: running, queue: putIn };
}

/** Each call of the database, `step` told before it, counted from 1. */
function stepped(act: (run: () => Promise<never>) => Promise<never>): SqlStore {
  return {
    query: (statement) => act(() => q.store.query(statement) as Promise<never>),
    transaction: (statements) => act(() => q.store.transaction(statements) as Promise<never>),
    close: () => q.store.close(),
  };
}

const away = () =>
  new SealgateError({ code: 'store.unavailable', publicText: 'It is away.', duration: 'temporary' });

type Fault = (run: () => Promise<never>) => Promise<never>;

const FAULTS = {
  'is away': async () => {
    throw away();
  },
  'has written it, and says otherwise': async (run: () => Promise<never>) => {
    await run();
    throw away();
  },
  'has a defect': async () => {
    throw new Error('defect');
  },
  'has a defect behind it': async (run: () => Promise<never>) => {
    await run();
    throw new Error('defect');
  },
} satisfies Record<string, Fault>;

/** What waits is due again within a while, whoever has claimed it. */
async function nothingIsStuck(): Promise<void> {
  for (const { nextAt, lease } of await readDeliveries(q.store, [], 100)) {
    const again = Math.max(nextAt.getTime(), lease?.until.getTime() ?? 0);
    expect(again).toBeLessThanOrEqual(clock().getTime() + HOUR_MS + LEASE_MS);
  }
}

/** Everything that is left leaves once the database is as it was. */
async function everythingLeaves(): Promise<void> {
  ahead = 2 * HOUR_MS;
  const after = deliverer();
  after.deliverer.start();
  await expect.poll(async () => (await readDeliveries(q.store, [], 100)).length, { interval: 5 }).toBe(0);
  await after.deliverer.stop();
}

/** Everything that was put in was tried, and the report as well. */
const isOver = () => (taken.get('b') ?? 0) > 0 && courier.mails.length >= 3;
const reports = () => courier.mails.filter(({ purpose }) => purpose === 'report').length;
const files = async () => (await readdir(join(q.state, SPOOL))).length;

/** So many calls of the database are made where nothing fails, or a few less. */
const STEPS = Array.from({ length: 18 }, (_, i) => i + 1);

describe.each(Object.entries(FAULTS))('a database that %s', (name, fault) => {
  test.each(STEPS)('at its call %i', async (at) => {
    let calls = 0;
    const store = stepped((run) => (++calls === at ? fault(run) : run()));
    const one = deliverer({ store });
    one.deliverer.start();
    await one.queue.enqueue([to('a', 'gone', 'busy'), to('b')]);
    await expect.poll(() => calls >= at || isOver(), { interval: 2 }).toBe(true);
    const isNextBehind = calls >= at;
    await one.queue.enqueue([to('next')]);
    await expect
      .poll(() => taken.get('next') === 1 || (!isNextBehind && calls >= at), { interval: 2 })
      .toBe(true);
    await one.deliverer.stop();
    await nothingIsStuck();
    await everythingLeaves();
    const all = { ...Object.fromEntries(taken) };
    expect(Object.keys(all).toSorted()).toEqual(['a', 'alice', 'b', 'busy', 'next']);
    if (!name.includes('defect')) {
      expect(all).toEqual({ a: 1, alice: 1, b: 1, busy: 1, next: 1 });
      expect(reports()).toBe(1);
    }
    expect(await files()).toBeLessThanOrEqual(1);
  });
});

describe.each(['is away', 'has a defect'] as const)('a database that %s from then on', (name) => {
  test.each(STEPS)('from its call %i', async (at) => {
    let calls = 0;
    const store = stepped((run) => (++calls >= at ? (FAULTS[name] as Fault)(run) : run()));
    const one = deliverer({ store });
    one.deliverer.start();
    await one.queue.enqueue([to('a', 'gone', 'busy'), to('b')]);
    await expect.poll(() => calls >= at || isOver(), { interval: 2 }).toBe(true);
    await one.deliverer.stop();
    await nothingIsStuck();
    await everythingLeaves();
    expect([...taken.keys()].toSorted()).toEqual(['a', 'alice', 'b', 'busy']);
  });
});

test.each(STEPS)('stopped at call %i of the database: who has it gets it no second time', async (at) => {
  let calls = 0;
  let stopped: Promise<void> | null = null;
  const store = stepped((run) => {
    if (++calls === at) stopped = one.deliverer.stop();
    return run();
  });
  const one = deliverer({ store });
  one.deliverer.start();
  await one.queue.enqueue([to('a', 'gone', 'busy'), to('b')]);
  await expect.poll(() => stopped !== null || isOver(), { interval: 2 }).toBe(true);
  await (stopped ?? one.deliverer.stop());
  const said = calls;
  await nothingIsStuck();
  await everythingLeaves();
  expect(calls).toBe(said);
  expect(Object.fromEntries(taken)).toEqual({ a: 1, alice: 1, b: 1, busy: 1 });
  expect(reports()).toBe(1);
  expect(await files()).toBe(0);
});
