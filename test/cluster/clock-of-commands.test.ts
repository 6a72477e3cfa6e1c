import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { deliveryPage } from '../../src/commands/queue-text.ts';
import {
  countQueue,
  flushedSince,
  hold,
  listQueue,
  release,
  retryNow,
  timeOfQueue,
} from '../../src/queue/by-hand.ts';
import { readDeliveries } from '../../src/queue/delivery-rows.ts';
import { claimDue } from '../../src/queue/leases.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import { mailTo } from '../queue/support/queue.ts';
import { ScriptedCourier } from '../queue/support/scripted-courier.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { type DeliveringNode, deliveringNode } from './support/delivering-node.ts';

/** Commands on a machine whose clock is wrong do to the queue of all nodes what they do on any other. */

const HOUR = 3_600_000;
/** As near as two statements come. */
const NEAR = 30_000;

let server: Started<Postgresql>;
let node: DeliveringNode;
let rows: SqlStore;
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());
beforeEach(async () => {
  const place = { host: server.socket, port: server.port, database: await server.database() };
  node = await deliveringNode({ place, courier: new ScriptedCourier() });
  rows = node.store.snapshots();
  await node.queue.enqueue([mailTo({ time: { now: new Date() } })]);
  return () => node.stop();
});

const only = async () => {
  const [one] = await readDeliveries(rows, [], 2);
  if (one === undefined) throw new Error('nothing is there');
  return one;
};

test.each([
  ['behind', -HOUR],
  ['ahead', HOUR],
])('an hour %s: what is to be tried now is due now, and its destination is called', async (_, by) => {
  const wrong = new Date(Date.now() + by);
  await rows.query(sql`UPDATE delivery SET attempts = 1, next_at = ${Date.now() + 2 * HOUR}`);
  const before = new Date(Date.now() - NEAR);
  expect(await retryNow(rows, {}, wrong)).toBe(1);
  expect(Math.abs((await only()).nextAt.getTime() - Date.now())).toBeLessThan(NEAR);
  const [flushed] = await flushedSince(rows, before);
  expect(Math.abs((flushed?.at.getTime() ?? 0) - Date.now())).toBeLessThan(NEAR);
});

test.each([
  ['behind', -HOUR],
  ['ahead', HOUR],
])('an hour %s: what was held has as much time left as it had', async (_, by) => {
  const { expiresAt } = await only();
  expect(await hold(rows, {}, new Date())).toBe(1);
  expect(await release(rows, {}, new Date(Date.now() + by))).toBe(1);
  const after = await only();
  expect(Math.abs(after.expiresAt.getTime() - expiresAt.getTime())).toBeLessThan(NEAR);
  expect(Math.abs(after.nextAt.getTime() - Date.now())).toBeLessThan(NEAR);
});

test.each([
  ['behind', -HOUR],
  ['ahead', HOUR],
])('an hour %s: what is under way is told from what waits', async (_, by) => {
  const wrong = new Date(Date.now() + by);
  const counts = async () => [
    await countQueue(rows, { state: 'under-way' }, wrong),
    (await listQueue(rows, { state: 'waiting' }, 10, wrong)).length,
  ];
  expect(await counts()).toEqual([0, 1]);
  const which = { lane: 'alice@example.org' };
  await claimDue(
    rows,
    { kind: 'smtp', destination: 'server' },
    { which, holder: 'x', room: 1, now: new Date() },
  );
  expect(await counts()).toEqual([1, 0]);
  await rows.query(sql`UPDATE delivery SET lease_until = ${Date.now() - NEAR}`);
  expect(await counts()).toEqual([0, 1]);
});

test.each([
  ['behind', -HOUR],
  ['ahead', HOUR],
])('an hour %s: pages say by the time of the queue what is under way', async (_, by) => {
  const which = { lane: 'alice@example.org' };
  await claimDue(
    rows,
    { kind: 'smtp', destination: 'server' },
    { which, holder: 'x', room: 1, now: new Date() },
  );
  const now = await timeOfQueue(rows, new Date(Date.now() + by));
  expect(deliveryPage(await only(), now)).toContain('being delivered');
  await rows.query(
    sql`UPDATE delivery SET lease_until = ${Date.now() - NEAR}, next_at = ${Date.now() + NEAR}`,
  );
  expect(deliveryPage(await only(), now)).toContain('next attempt');
});
