import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collectFrom } from '../../src/octets/collect.ts';
import { readDeliveries, readDelivery } from '../../src/queue/delivery-rows.ts';
import { claimDue, nextDue } from '../../src/queue/leases.ts';
import { sweepOrphans } from '../../src/queue/orphans.ts';
import { spoolReferences } from '../../src/queue/spool-references.ts';
import { openQueueStore, QUEUE, queueMigrations } from '../../src/store/queue-migrations.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { DAY_MS, mailTo, startTestQueue, type TestQueue } from './support/queue.ts';

let q: TestQueue;
beforeEach(async () => {
  q = await startTestQueue();
});
afterEach(() => q.stop());

const due = async (at: Date) => {
  const rows = await q.store.query(sql`SELECT id FROM delivery WHERE next_at <= ${at.getTime()}`);
  return rows.map(({ id }) => id);
};
const files = () => readdir(join(q.state, 'queue'));

test('a mail that was put into the queue is there, with its octets and everything that was said of it', async () => {
  const mail = mailTo(q, {
    to: ['bob@partner.example', '"odd name"@partner.example'],
    requireTls: 'onward',
    way: { kind: 'append', archive: 'main', login: 'alice' },
  });
  const [id = ''] = await q.queue.enqueue([mail]);
  expect(await readDelivery(q.store, id)).toMatchObject({
    ...{ id, mail: mail.id, purpose: 'released', way: mail.way, requireTls: 'onward', attempts: 0 },
    ...{ reversePath: mail.envelope.reversePath, octets: mail.octets.length, delayTold: false },
    ...{ enqueuedAt: q.time.now, nextAt: q.time.now, expiresAt: mail.expiresAt, lastAt: null },
    recipients: mail.envelope.recipients.map((recipient, position) => ({
      ...{ recipient, position, because: null, reply: null },
    })),
  });
  expect(await collectFrom(await q.spool.read(id))).toEqual(mail.octets);
  expect(q.woken.times).toBe(1);
  expect(q.events).toMatchObject([{ event: 'queue.enqueued', mail: mail.id, delivery: id, recipients: 2 }]);
});

test('several mails are there together or not at all, and what fails leaves no file', async () => {
  await q.store.query(sql`CREATE TRIGGER refused BEFORE INSERT ON delivery WHEN NEW.purpose = 'notice'
    BEGIN SELECT RAISE(ABORT, 'no'); END`);
  await expect(q.queue.enqueue([mailTo(q), mailTo(q, { purpose: 'notice' })])).rejects.toMatchObject({
    ...{ code: 'store.unavailable', duration: 'temporary' },
  });
  expect(await readDeliveries(q.store, [], 10)).toEqual([]);
  expect(await files()).toEqual([]);
  expect(q.woken.times).toBe(0);
});

test('what is staged is nothing before its statements are written, and goes where they will not be', async () => {
  const staged = await q.queue.stage(mailTo(q));
  expect(await readDelivery(q.store, staged.deliveries[0] ?? '')).toBeNull();
  await staged.dropped();
  expect(await files()).toEqual([]);
});

test('a file whose rows were written after all stays, whatever the writer believes', async () => {
  const staged = await q.queue.stage(mailTo(q));
  await q.store.transaction(staged.statements);
  await staged.dropped();
  expect(await files()).toEqual(staged.deliveries);
});

test('statements of a mail go into one transaction with others', async () => {
  const staged = await q.queue.stage(mailTo(q));
  await expect(
    q.store.transaction([...staged.statements, sql`INSERT INTO no_such_table VALUES (1)`]),
  ).rejects.toThrow();
  expect(await readDelivery(q.store, staged.deliveries[0] ?? '')).toBeNull();
});

test('a mail that waits for its time can begin before it, and be taken back', async () => {
  const notBefore = new Date(q.time.now.getTime() + 60_000);
  const [one = '', two = ''] = await q.queue.enqueue([mailTo(q, { notBefore }), mailTo(q, { notBefore })]);
  expect(await due(q.time.now)).toEqual([]);
  expect(
    await nextDue(
      q.store,
      { place: { kind: 'smtp', destination: 'server' }, lane: 'alice@example.org' },
      q.time.now,
    ),
  ).toEqual(notBefore);
  await q.queue.begin([one]);
  expect(await due(q.time.now)).toEqual([one]);
  await q.queue.withdraw([two]);
  expect(await due(notBefore)).toEqual([one]);
  expect(await files()).toEqual([one]);
});

test('a file is referred to by whatever table has its name', async () => {
  const [id = ''] = await q.queue.enqueue([mailTo(q)]);
  await q.store.query(sql`CREATE TABLE another (spool TEXT PRIMARY KEY)`);
  await q.store.query(sql`INSERT INTO another VALUES ('elsewhere')`);
  expect(await spoolReferences(q.store)).toEqual(new Set([id, 'elsewhere']));
});

test('what a former version has put into its rows is there, with its recipients', async () => {
  const state = await mkdtemp(join(tmpdir(), 'sealgate-former-'));
  try {
    const former = await openSqlite(join(state, QUEUE), queueMigrations.slice(0, 2));
    const recipient = JSON.stringify({ mailbox: { localPart: 'bob', domain: 'x.example' }, parameters: [] });
    const put = (name: string, kind: string, way: object) => [
      sql`INSERT INTO delivery VALUES (${name}, 'm1', 'released', ${kind}, ${JSON.stringify(way)}, NULL, '[]', 'no', 10, 1000, 9000, 2000, 3, 1500, 1)`,
      sql`INSERT INTO delivery_recipient VALUES (${name}, 0, ${recipient}, 'not now', NULL)`,
    ];
    await former.transaction([
      ...put('one', 'smtp', { kind: 'smtp' }),
      ...put('two', 'append', { kind: 'append', archive: 'main', login: 'alice' }),
    ]);
    await former.close();
    const store = await openQueueStore(state);
    const rest = { attempts: 3, delayTold: true, heldAt: null, lease: null, fence: 0 };
    expect(await readDeliveries(store, [], 9)).toMatchObject([
      { id: 'one', spool: 'one', destination: 'server', recipients: [{ because: 'not now' }], ...rest },
      { id: 'two', spool: 'two', destination: 'main', recipients: [{ because: 'not now' }], ...rest },
    ]);
    expect([...(await spoolReferences(store))].sort()).toEqual(['one', 'two']);
    await store.close();
  } finally {
    await rm(state, { recursive: true });
  }
});

test('what has no row goes thirty days after that was seen, however old it is: it may be what a lost database knew of', async () => {
  const [mail, other] = await q.queue.enqueue([mailTo(q), mailTo(q)]);
  const rows = await q.store.query(sql`SELECT * FROM delivery WHERE id = ${mail ?? ''}`);
  await q.store.query(sql`DELETE FROM delivery`);
  const day = (days: number) => new Date(Date.now() + days * DAY_MS);
  // It has waited for a certificate for two months.
  expect(await sweepOrphans(q.store, q.spool, day(60))).toEqual({ removed: 0, orphans: 2 });
  expect(await sweepOrphans(q.store, q.spool, day(89))).toEqual({ removed: 0, orphans: 2 });
  // The right database is put back for a while: what it names has been missed for no day.
  const columns = Object.entries(rows[0] ?? {});
  await q.store.query({
    sql: `INSERT INTO delivery (${columns.map(([name]) => name).join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
    parameters: columns.map(([, value]) => value),
  });
  expect(await sweepOrphans(q.store, q.spool, day(91))).toEqual({ removed: 1, orphans: 0 });
  expect(await files()).toEqual([mail]);
  expect(await files()).not.toContain(other);
  await q.store.query(sql`DELETE FROM delivery`);
  expect(await sweepOrphans(q.store, q.spool, day(92))).toEqual({ removed: 0, orphans: 1 });
  // The clock was set back meanwhile.
  expect(await sweepOrphans(q.store, q.spool, day(2))).toEqual({ removed: 0, orphans: 1 });
  expect(await sweepOrphans(q.store, q.spool, day(33))).toEqual({ removed: 1, orphans: 0 });
});

test('of what waits for a place no more is looked at than what is due or claimed, however much waits', async () => {
  const plans: string[] = [];
  const planned: SqlStore = {
    ...{ close: async () => undefined, transaction: async () => [] },
    async query({ sql: text, parameters }) {
      const rows = await q.store.query({ sql: `EXPLAIN QUERY PLAN ${text}`, parameters });
      plans.push(...rows.map(({ detail }) => String(detail)).filter((detail) => detail.includes('delivery')));
      return [];
    },
  };
  const place = { kind: 'smtp', destination: 'server' } as const;
  await claimDue(planned, place, { which: { lane: '' }, holder: 'here', room: 1, now: q.time.now });
  await claimDue(planned, place, { which: 'overdue', holder: 'here', room: 1, now: q.time.now });
  await nextDue(planned, { place, lane: '' }, q.time.now);
  expect(plans.length).toBeGreaterThan(5);
  for (const plan of plans) {
    expect(plan).toMatch(/PRIMARY KEY|_by_holder|_by_lane \(.*next_at[<>]|_by_overdue \(.*overdue_at</);
  }
});
