import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sql } from '../../src/store/sql-store.ts';
import { mailTo } from '../queue/support/queue.ts';
import { ScriptedCourier } from '../queue/support/scripted-courier.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { type DeliveringNode, deliveringNode } from './support/delivering-node.ts';
import { type StatementWire, startStatementWire } from './support/statement-wire.ts';

/**
 * The database is away for longer than claims last, for all nodes: what one of them has brought to a mail server meanwhile is written down by it, and
 * is brought by no other node that hears of the database first.
 */

const NAMES = ['a', 'b', 'c'];

let server: Started<Postgresql>;
let wires: readonly [StatementWire, StatementWire];
let one: DeliveringNode;
let other: DeliveringNode;
let direct: DeliveringNode;
let opened: PromiseWithResolvers<void>;
let ahead: number;
let begun: number;
let taken: string[];
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());
beforeEach(async () => {
  const wire = () => startStatementWire(server.socket, server.port);
  wires = [await wire(), await wire()];
  const database = await server.database();
  [ahead, begun, taken] = [0, 0, []];
  opened = Promise.withResolvers();
  const courier = new ScriptedCourier((name) => {
    taken.push(name);
    return 'delivered';
  });
  const slow = {
    deliver: async (mail: Parameters<ScriptedCourier['deliver']>[0]) => {
      begun++;
      await opened.promise;
      return courier.deliver(mail);
    },
    close: async () => undefined,
  };
  const at = (port: number) => ({ host: '127.0.0.1', port, database });
  direct = await deliveringNode({ place: { host: server.socket, port: server.port, database }, courier });
  const clock = () => new Date(Date.now() + ahead);
  one = await deliveringNode({ place: at(wires[0].port), courier: slow, clock });
  other = await deliveringNode({ place: at(wires[1].port), courier, clock });
  return async () => {
    opened.resolve();
    for (const broken of wires) broken.open();
    for (const node of [one, other, direct]) await node.stop();
    for (const broken of wires) await broken.stop();
  };
});

const mailFor = (name: string) => mailTo({ time: { now: new Date() } }, { to: [`${name}@partner.example`] });
const rows = () => direct.store.query(sql`SELECT id FROM delivery`);

/** One node is at work on all of them when the database goes; it comes back for the other one first, more than a minute later. */
async function outage(meanwhile: () => Promise<void>): Promise<void> {
  one.deliverer.start();
  await direct.queue.enqueue(NAMES.map(mailFor));
  await eventually(() => expect(begun).toBe(NAMES.length));
  other.deliverer.start();
  await other.queue.enqueue([mailFor('before')]);
  await eventually(() => expect(taken).toEqual(['before']));
  for (const wire of wires) wire.close(null);
  await meanwhile();
  await eventually(() => expect(other.events.map(({ event }) => event)).toContain('queue.unavailable'));
  ahead += 61_000;
  await direct.store.query(sql`UPDATE delivery SET lease_until = 1`);
  wires[1].open();
  // It is at work again.
  await direct.queue.enqueue([mailFor('behind')]);
  await eventually(() => expect(taken).toContain('behind'));
}

test('nothing is there twice', async () => {
  await outage(async () => {
    opened.resolve();
    await eventually(() => expect(taken.length).toBe(NAMES.length + 1));
  });
  wires[0].open();
  await eventually(async () => expect(await rows()).toEqual([]));
  expect(taken.toSorted()).toEqual(['a', 'b', 'before', 'behind', 'c']);
});

test('what a node had that is gone since is delivered by another one, once the others would have said that it is theirs', async () => {
  await outage(async () => undefined);
  await eventually(async () => expect(await rows()).toHaveLength(NAMES.length));
  ahead += 20_000;
  await eventually(async () => expect(await rows()).toEqual([]));
  expect(taken.toSorted()).toEqual(['a', 'b', 'before', 'behind', 'c']);
});
