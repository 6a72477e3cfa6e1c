import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Claim, claimDue } from '../../src/queue/leases.ts';
import type { Courier, Place } from '../../src/queue/ports.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import { mailTo } from '../queue/support/queue.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { type DeliveringNode, type DeliveringOptions, deliveringNode } from './support/delivering-node.ts';

/** Several nodes that want the first mail of a line: each gets one, and none waits for another. */

let server: Started<Postgresql>;
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());

const courier = { deliver: async () => [], close: async () => undefined };
const now = new Date();

type World = {
  place: DeliveringOptions['place'];
  nodes: DeliveringNode[];
  at: Place;
  lane: string;
  ids: string[];
};

/** Nodes that have not begun to deliver, and so many deliveries of one sender for one destination. */
async function world(
  count: number,
  deliveries: number,
  options: Partial<DeliveringOptions> = {},
): Promise<World> {
  const place = { host: server.socket, port: server.port, database: await server.database() };
  const nodes = await Promise.all(
    Array.from({ length: count }, () => deliveringNode({ place, courier, ...options })),
  );
  const [first] = nodes;
  if (first === undefined) throw new Error('no node');
  for (let i = 0; i < deliveries; i++) await first.queue.enqueue([mailTo({ time: { now } })]);
  const rows = await first.store.query(
    sql`SELECT id, destination, lane FROM delivery WHERE next_at <= ${Date.now()} ORDER BY next_at, id`,
  );
  expect(rows.length).toBe(deliveries);
  return {
    ...{ place, nodes },
    ...{ at: { kind: 'smtp', destination: String(rows[0]?.destination) }, lane: String(rows[0]?.lane) },
    ids: rows.map(({ id }) => String(id)),
  };
}

/** Another node, in the middle of a transaction that has this row. */
async function whoHas({ place }: World, id: string): Promise<{ leave(): Promise<void> }> {
  const client = new Client({ ...place, user: 'test', password: () => '' });
  await client.connect();
  await client.query('BEGIN');
  await client.query('SELECT id FROM delivery WHERE id = $1 FOR UPDATE', [id]);
  return {
    async leave() {
      await client.query('ROLLBACK');
      await client.end();
    },
  };
}

test('what another node is at is passed over, and is there when that node has left it', async () => {
  const all = await world(1, 4);
  const { nodes, at, lane, ids } = all;
  const rows = nodes.map(({ store }) => store.snapshots())[0] as SqlStore;
  const take = async (room: number) => {
    const claims = await claimDue(rows, at, { which: { lane }, holder: 'node', room, now: new Date() });
    return claims.map(({ id }) => id).sort();
  };
  const other = await whoHas(all, ids[0] ?? '');
  expect(await take(1)).toEqual([ids[1]]);
  expect(await take(10)).toEqual(ids.slice(2).sort());
  expect(await take(10)).toEqual([]);
  await other.leave();
  expect(await take(10)).toEqual([ids[0]]);
  for (const node of nodes) await node.stop();
});

test('nodes that claim at the same moment have each delivery once, and no more than they have room for', async () => {
  const { nodes, at, lane, ids } = await world(4, 40);
  const claims: Claim[] = [];
  await Promise.all(
    nodes.map(async ({ store }, i) => {
      const rows = store.snapshots();
      for (;;) {
        const which = { which: { lane }, holder: `node ${i}`, room: 2, now: new Date() };
        const some = await claimDue(rows, at, which);
        expect(some.length).toBeLessThanOrEqual(2);
        claims.push(...some);
        if (some.length === 0 && claims.length >= ids.length) return;
      }
    }),
  );
  expect(claims.map(({ id }) => id).sort()).toEqual([...ids].sort());
  expect(new Set(claims.map(({ fence }) => fence))).toEqual(new Set([1]));
  for (const node of nodes) await node.stop();
});

test('of what another node is at is asked now and then, not all the time', async () => {
  const asked: number[] = [];
  const taken: string[] = [];
  const counted = (rows: SqlStore): SqlStore => ({
    ...rows,
    taking: {
      query: (statement) => {
        asked.push(performance.now());
        return (rows.taking ?? rows).query(statement);
      },
    },
  });
  const deliver: Courier['deliver'] = async ({ envelope, id }) => {
    taken.push(id);
    return envelope.recipients.map((recipient) => ({ recipient, kind: 'delivered', reply: null }));
  };
  const all = await world(1, 1, { through: counted, courier: { ...courier, deliver } });
  const other = await whoHas(all, all.ids[0] ?? '');
  for (const { deliverer } of all.nodes) deliverer.start();
  await eventually(() => expect(asked.length).toBeGreaterThanOrEqual(6));
  // Whatever else wakes it, it asks twice in a row at most.
  const [first = 0, , , , , last = 0] = asked;
  expect(last - first).toBeGreaterThan(40);
  expect(taken).toEqual([]);
  await other.leave();
  await eventually(() => expect(taken.length).toBe(1));
  for (const node of all.nodes) await node.stop();
});
