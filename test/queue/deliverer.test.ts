import { afterEach, beforeEach, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import { flush } from '../../src/queue/by-hand.ts';
import { Deliverer, type DelivererParts } from '../../src/queue/deliverer.ts';
import { placeOf, readDeliveries, readDelivery } from '../../src/queue/delivery-rows.ts';
import { DurableQueue } from '../../src/queue/durable-queue.ts';
import { LEASE_MS } from '../../src/queue/leases.ts';
import { OwnMails } from '../../src/queue/own-mail.ts';
import { OwnWork } from '../../src/queue/own-work.ts';
import type { Courier, DeliveryOutcome, Router } from '../../src/queue/ports.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';
import { mailTo, startTestQueue, type TestQueue } from './support/queue.ts';
import { ScriptedCourier } from './support/scripted-courier.ts';

const identity = ownIdentity([newOwnKey()]);

/** It is looked through everything when the test says so, and not only every ten seconds. */
class ToldWork extends OwnWork {
  told: () => void = () => undefined;

  override watch(told: Parameters<OwnWork['watch']>[0]): void {
    this.told = () => told(null);
    super.watch(told);
  }
}

/** A courier whose deliveries end when the test says so. */
class SlowCourier implements Courier {
  readonly underWay: { to: string; end(kind?: 'delivered' | 'later'): void }[] = [];
  most = 0;

  deliver(mail: Parameters<Courier['deliver']>[0]): Promise<readonly DeliveryOutcome[]> {
    return new Promise((resolve) => {
      const one = {
        to: mail.envelope.recipients[0]?.mailbox.localPart ?? '',
        end: (kind: 'delivered' | 'later' = 'delivered') => {
          this.underWay.splice(this.underWay.indexOf(one), 1);
          const because = 'not now';
          resolve(mail.envelope.recipients.map((recipient) => ({ recipient, kind, reply: null, because })));
        },
      };
      this.underWay.push(one);
      this.most = Math.max(this.most, this.underWay.length);
    });
  }

  async close(): Promise<void> {
    for (const one of [...this.underWay]) one.end('later');
  }
}

let q: TestQueue;
let couriers: { smtp: Courier; append: Courier };
let running: { deliverer: Deliverer; queue: DurableQueue; work: ToldWork } | null = null;
beforeEach(async () => {
  q = await startTestQueue();
  couriers = { smtp: new SlowCourier(), append: new SlowCourier() };
});
afterEach(async () => {
  const stopped = running?.deliverer.stop();
  await Promise.all([couriers.smtp.close(), couriers.append.close()]);
  await stopped;
  running = null;
  await q.stop();
});

/** In real time: a mail that is put in at once is due at once. */
function start(changes: Partial<DelivererParts> = {}, router: Router | null = null): DurableQueue {
  const clock = changes.clock ?? (() => new Date());
  const log = { write: (event: (typeof q.events)[number]) => q.events.push(event) };
  const store = changes.store ?? q.store;
  const work = new ToldWork();
  const queue = new DurableQueue({ store, spool: q.spool, router, work, clock, log });
  const deliverer = new Deliverer({
    ...{ store, spool: q.spool, queue, clock, log, hostname: 'gateway.test', server: 'mail.test' },
    ownMails: new OwnMails({ identity, hostname: 'gateway.test', days: 5, clock, log }),
    courier: ({ kind }) => couriers[kind],
    ...{ work, most: 10, alone: true },
    atOnce: ({ kind }) => (kind === 'smtp' ? 2 : 1),
    ...changes,
  });
  deliverer.start();
  running = { deliverer, queue, work };
  return queue;
}
const toBob = (name: string, changes = {}) =>
  mailTo({ time: { now: new Date() } }, { to: [`${name}@partner.example`], ...changes });
const append = { way: { kind: 'append', archive: 'main', login: 'alice' } } as const;
const smtp = () => couriers.smtp as SlowCourier;
const left = async () => (await readDeliveries(q.store, [], 100)).length;

test('so many at once and no more, each once, oldest first, until all are delivered', async () => {
  const queue = start();
  const begun = Date.now() - 1_000;
  const names = ['a', 'b', 'c', 'd', 'e'];
  for (const [i, name] of names.entries()) {
    await queue.enqueue([toBob(name, { notBefore: new Date(begun + i) })]);
  }
  for (const [i, name] of names.entries()) {
    // Of two that are begun together either may come to the courier first.
    const underWay = () => smtp().underWay.map(({ to }) => to);
    await expect.poll(() => underWay().toSorted()).toEqual(names.slice(i, i + 2));
    smtp()
      .underWay.find(({ to }) => to === name)
      ?.end();
  }
  expect(smtp().most).toBe(2);
  await expect.poll(left).toBe(0);
});

test('an archive that does not answer holds up no mail', async () => {
  const queue = start();
  await queue.enqueue([toBob('x', append), toBob('y', append)]);
  await expect.poll(() => (couriers.append as SlowCourier).underWay.length).toBe(1);
  await queue.enqueue([toBob('a')]);
  await expect.poll(() => smtp().underWay.length).toBe(1);
});

test('what waits for its time leaves then', async () => {
  const queue = start();
  const notBefore = new Date(Date.now() + 150);
  await queue.enqueue([toBob('a', { notBefore })]);
  await expect.poll(() => smtp().underWay.length).toBe(1);
  expect(Date.now()).toBeGreaterThanOrEqual(notBefore.getTime());
});

test('a database that fails for a while brings nobody a second copy', async () => {
  let failures = 0;
  const store: SqlStore = {
    query: (statement) => q.store.query(statement),
    transaction(statements) {
      const isRecord = statements.some(({ sql }) => sql.startsWith('DELETE FROM delivery'));
      if (!isRecord || ++failures > 2) return q.store.transaction(statements);
      const publicText = 'The disk is full.';
      return Promise.reject(
        new SealgateError({ code: 'store.unavailable', publicText, duration: 'temporary' }),
      );
    },
    close: () => q.store.close(),
  };
  const queue = start({ store });
  await queue.enqueue([toBob('a')]);
  await expect.poll(() => smtp().underWay.length).toBe(1);
  smtp().underWay[0]?.end();
  await expect.poll(left).toBe(0);
  expect(failures).toBe(3);
  expect(smtp().underWay).toEqual([]);
  expect(q.events.filter(({ event }) => event === 'queue.unavailable').length).toBe(2);
});

test('what is under way here is not begun a second time when its claim has run out', async () => {
  const time = { now: new Date() };
  const queue = start({ clock: () => time.now });
  const put = (name: string) => queue.enqueue([mailTo({ time }, { to: [`${name}@partner.example`] })]);
  await put('a');
  await expect.poll(() => smtp().underWay.length).toBe(1);
  // The process was stopped, or the clock was set ahead.
  time.now = new Date(time.now.getTime() + 10 * 60_000);
  await put('b');
  await expect.poll(() => smtp().underWay.map(({ to }) => to)).toEqual(['a', 'b']);
  for (const one of [...smtp().underWay]) one.end();
  await expect.poll(() => q.events.filter(({ event }) => event === 'queue.delivered')).toHaveLength(2);
  expect(await left()).toBe(0);
});

test('a defect is said, holds up nobody else, and the end does not wait for its pause', async () => {
  const broken: Courier = {
    deliver: () => Promise.reject(new Error('broken')),
    close: async () => undefined,
  };
  couriers = { smtp: broken, append: couriers.append };
  const queue = start();
  await queue.enqueue([toBob('a')]);
  await expect.poll(() => q.events.map(({ event }) => event)).toContain('gateway.defect');
  await queue.enqueue([toBob('x', append)]);
  await expect.poll(() => (couriers.append as SlowCourier).underWay.length).toBe(1);
  expect(await left()).toBe(2);
});

test('mails on which the gateway fails keep no other mail from its turn', async () => {
  const slow = couriers.smtp;
  couriers.smtp = {
    deliver: (mail) => {
      const { localPart } = mail.envelope.recipients[0]?.mailbox ?? { localPart: '' };
      return localPart.startsWith('bad') ? Promise.reject(new Error('broken')) : slow.deliver(mail);
    },
    close: () => slow.close(),
  };
  const queue = start();
  await queue.enqueue(['bad1', 'bad2', 'bad3', 'good'].map((name) => toBob(name)));
  await expect.poll(() => (slow as SlowCourier).underWay.map(({ to }) => to)).toEqual(['good']);
  expect(await left()).toBe(4);
});

test('what was put in or tried before the clock was set back by a day is tried when it was to be', async () => {
  let ahead = 86_400_000;
  const queue = start({ clock: () => new Date(Date.now() + ahead) });
  await queue.enqueue([toBob('a')]);
  await expect.poll(() => smtp().underWay.length).toBe(1);
  smtp().underWay[0]?.end('later');
  await expect.poll(async () => (await readDeliveries(q.store, [], 1))[0]?.attempts).toBe(1);
  ahead = 0;
  // Anything that has it look.
  await queue.enqueue([toBob('b')]);
  await expect.poll(() => smtp().underWay.map(({ to }) => to)).toEqual(['b']);
  const tried = (await readDeliveries(q.store, [], 9)).find(({ attempts }) => attempts === 1);
  const wait = Number(tried?.nextAt.getTime()) - Date.now();
  expect(wait).toBeGreaterThan(0);
  expect(wait).toBeLessThanOrEqual(60_000);
});

test('a report whose rows were written, though the database said otherwise, is written once', async () => {
  let lies = 0;
  const store: SqlStore = {
    query: (statement) => q.store.query(statement),
    async transaction(statements) {
      const rows = await q.store.transaction(statements);
      if (!statements.some(({ sql }) => sql.startsWith('DELETE FROM delivery WHERE')) || lies++ > 0)
        return rows;
      const publicText = 'Its thread ended.';
      throw new SealgateError({ code: 'store.unavailable', publicText, duration: 'temporary' });
    },
    close: () => q.store.close(),
  };
  couriers.smtp = new ScriptedCourier((localPart) => (localPart === 'gone' ? 'failed' : 'delivered'));
  const queue = start({ store });
  await queue.enqueue([toBob('gone')]);
  await expect.poll(left).toBe(0);
  expect((couriers.smtp as ScriptedCourier).mails.map(({ purpose }) => purpose)).toEqual([
    'released',
    'report',
  ]);
});

test('who stops it waits for what is under way, and nothing more begins', async () => {
  const queue = start();
  await queue.enqueue([toBob('a'), toBob('b'), toBob('c')]);
  await expect.poll(() => smtp().underWay.length).toBe(2);
  const stopped = running?.deliverer.stop();
  for (const one of [...smtp().underWay]) one.end();
  await stopped;
  expect(smtp().underWay).toEqual([]);
  expect(await left()).toBe(1);
});

test('a destination that is away waits as a whole, keeps no other waiting, and is called when somebody wants it', async () => {
  const tried: string[] = [];
  let away = true;
  const there = new ScriptedCourier();
  couriers.smtp = {
    away: (way) => (away && placeOf(way).destination === 'domain:dead.example' ? 'nobody answers' : null),
    async deliver(mail) {
      tried.push(placeOf(mail.way).destination);
      return there.deliver(mail);
    },
    close: async () => undefined,
  };
  const router: Router = { destinationOf: ({ mailbox: { domain } }) => `domain:${domain}`, atOnce: () => 2 };
  const queue = start({}, router);
  const to = (domain: string, count: number) =>
    Array.from({ length: count }, (_, i) =>
      mailTo({ time: { now: new Date() } }, { to: [`x${i}@${domain}`] }),
    );
  await queue.enqueue(to('dead.example', 40));
  await queue.enqueue(to('alive.example', 5));
  await expect.poll(left).toBe(40);
  expect(tried).toEqual(Array.from({ length: 5 }, () => 'domain:alive.example'));
  // As many as may be under way have found it away, and no more.
  const found = (await readDeliveries(q.store, [], 100)).filter(({ attempts }) => attempts > 0);
  expect(found.length).toBeLessThanOrEqual(2);
  expect(q.events.filter(({ event }) => event === 'queue.paused')).toMatchObject([
    { destination: 'domain:dead.example', reason: 'nobody answers' },
  ]);
  away = false;
  await flush(q.store, 'domain:dead.example', new Date());
  running?.work.told();
  await expect.poll(left).toBe(0);
});

/** A courier that asks for the octets of a mail when the test says so, and has delivered it if it came to their end. */
class ReadingCourier implements Courier {
  readonly gates: PromiseWithResolvers<void>[] = [];

  async deliver({
    envelope,
    octets,
  }: Parameters<Courier['deliver']>[0]): Promise<readonly DeliveryOutcome[]> {
    const gate = Promise.withResolvers<void>();
    this.gates.push(gate);
    await gate.promise;
    const because = await collectFrom(octets as OctetSource).then(
      () => null,
      (error: SealgateError) => error.code,
    );
    const kind = because === null ? 'delivered' : 'later';
    return envelope.recipients.map((recipient) => ({ recipient, kind, reply: null, because: because ?? '' }));
  }

  async close(): Promise<void> {
    for (const gate of this.gates) gate.resolve();
  }
}

test.each([
  ['it has run out, and could not be renewed', false],
  ['somebody else has made it its own', true],
])('no mail is sent to its end on a claim that does not stand any more: %s', async (_, isTaken) => {
  const courier = new ReadingCourier();
  couriers.smtp = courier;
  let ahead = 0;
  const queue = start({ alone: false, clock: () => new Date(Date.now() + ahead) });
  await queue.enqueue([toBob('a')]);
  await expect.poll(() => courier.gates.length).toBe(1);
  ahead = 2 * LEASE_MS;
  if (isTaken) {
    const until = Date.now() + 4 * LEASE_MS;
    await q.store.query(
      sql`UPDATE delivery SET lease_holder = 'other', lease_until = ${until}, fence = fence + 1`,
    );
    // What is under way is renewed when the next one is begun.
    await queue.enqueue([toBob('b')]);
    await expect.poll(() => courier.gates.length).toBe(2);
  }
  courier.gates[0]?.resolve();
  const said = isTaken ? 'queue.claim-lost' : 'queue.delayed';
  await expect.poll(() => q.events.map(({ event }) => event)).toContain(said);
  expect(q.events.map(({ event }) => event)).not.toContain('queue.delivered');
});

test('what a stop breaks off was no attempt: whoever is there next takes it up at once', async () => {
  const queue = start({ alone: false });
  const [id = ''] = await queue.enqueue([toBob('a')]);
  await expect.poll(() => smtp().underWay.length).toBe(1);
  const stopped = running?.deliverer.stop();
  await couriers.smtp.close();
  await stopped;
  const left = await readDelivery(q.store, id);
  expect(left).toMatchObject({ attempts: 0, lease: null });
  expect(left?.nextAt.getTime()).toBeLessThanOrEqual(Date.now());
  expect(q.events.map(({ event }) => event)).toEqual(['queue.enqueued']);
});
