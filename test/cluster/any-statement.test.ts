import { afterAll, beforeAll, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { sql } from '../../src/store/sql-store.ts';
import { mailTo } from '../queue/support/queue.ts';
import { ScriptedCourier } from '../queue/support/scripted-courier.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { type DeliveringNode, deliveringNode } from './support/delivering-node.ts';
import { type StatementFault, type StatementWire, startStatementWire } from './support/statement-wire.ts';

/**
 * A real PostgreSQL that fails a node at each statement of a mail's way, in each manner: the node goes on by itself within seconds, whoever else is
 * there or not. Everybody has the mail once, and the sender one report.
 */

/** Faults that are waited for side by side. */
const LANES = 8;
type Lane = { wire: StatementWire; direct: DeliveringNode; database: string };

let server: Started<Postgresql>;
let lanes: readonly Lane[];
beforeAll(async () => {
  server = await postgresql();
  lanes = await Promise.all(
    Array.from({ length: LANES }, async () => {
      const wire = await startStatementWire(server.socket, server.port);
      const database = await server.database();
      const place = { host: server.socket, port: server.port, database };
      return { wire, database, direct: await deliveringNode({ place, courier: new ScriptedCourier() }) };
    }),
  );
});
afterAll(async () => {
  for (const { wire, direct } of lanes) {
    await direct.stop();
    await wire.stop();
  }
  await server.stop();
});

/** In the order in which they come first. */
const STEPS: readonly (readonly string[])[] = [
  ['enqueued_at = CASE'],
  ['FROM delivery_flush'],
  ['WITH RECURSIVE line'],
  ['INSERT INTO spool_piece'],
  ['INSERT INTO spool_piece', 'COMMIT'],
  ['INSERT INTO delivery ('],
  ['INSERT INTO delivery_recipient'],
  ['INSERT INTO delivery (', 'COMMIT'],
  ['SET lease_holder = $1'],
  ['SET lease_holder = $1', 'COMMIT'],
  ['AS later'],
  ['SELECT * FROM delivery WHERE'],
  ['SELECT * FROM delivery_recipient WHERE'],
  ['SELECT sealed'],
  ['DELETE FROM delivery_recipient'],
  ['DELETE FROM delivery_recipient', 'COMMIT'],
  ['DELETE FROM delivery WHERE id'],
  ['DELETE FROM delivery WHERE id', 'COMMIT'],
  ['DELETE FROM spool_piece'],
];

const fails = (state: string): StatementFault => ({ kind: 'fails', state });
const FAULTS: readonly [string, StatementFault][] = [
  ['is lost with its connection', { kind: 'lost' }],
  ['is carried out, and its connection lost', { kind: 'unheard' }],
  ['finds a server that is shut down', { kind: 'ended' }],
  ['was in the way of another one (40001)', fails('40001')],
  ['finds a server that only reads (25006)', fails('25006')],
  ['is carried out, and never answered', { kind: 'hangs-behind' }],
];

/** A client tries again what was refused for now. */
async function send({ queue }: DeliveringNode, ...names: readonly string[]): Promise<void> {
  const to = names.map((name) => `${name}@partner.example`);
  await eventually(async () => {
    const failed = await queue
      .enqueue([mailTo({ time: { now: new Date() } }, { purpose: 'submitted', to })])
      .then(() => null, String);
    expect(failed).toBeNull();
  });
}

type Mails = { node: DeliveringNode; direct: DeliveringNode; courier: ScriptedCourier };

/** @param copies that each may have at most */
async function oneMail({ node, direct, courier }: Mails, wire: StatementWire, copies: number, left: number) {
  const taken: string[] = [];
  courier.script = (name) => {
    if (name === 'gone') return 'failed';
    taken.push(name);
    return 'delivered';
  };
  await send(node, 'a', 'gone');
  await send(node, 'b');
  await eventually(async () => {
    expect(await direct.store.query(sql`SELECT id, attempts FROM delivery`)).toEqual([]);
  });
  expect(wire.isBroken).toBe(true);
  expect([...new Set(taken)].toSorted()).toEqual(['a', 'alice', 'b']);
  for (const name of taken) {
    expect(taken.filter((one) => one === name).length, name).toBeLessThanOrEqual(copies);
  }
  await eventually(async () => {
    const files = await direct.store.query(sql`SELECT DISTINCT spool_file FROM spool_piece`);
    expect(files.length).toBeLessThanOrEqual(left);
  });
  await direct.store.query(sql`DELETE FROM spool_piece`);
  expect(node.events.filter(({ event }) => event === 'gateway.defect')).toEqual([]);
}

test.each(FAULTS)('a statement %s', async (_, fault) => {
  const steps = [...STEPS];
  const failed: string[] = [];
  await Promise.all(
    lanes.map(async ({ wire, direct, database }) => {
      const courier = new ScriptedCourier();
      const place = { host: '127.0.0.1', port: wire.port, database };
      // What is never answered is waited for.
      const node = await deliveringNode({ place, courier, timeoutSeconds: 1 });
      let hasStarted = false;
      for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
        const name = step.join(' … ');
        wire.arm(fault, step);
        if (!hasStarted) node.deliverer.start();
        hasStarted = true;
        // A mail that was written and delivered before anybody could be asked about it is sent again.
        const copies = name === 'INSERT INTO delivery ( … COMMIT' && fault.kind === 'hangs-behind' ? 2 : 1;
        // What could not be removed is swept; all else is gone.
        const left = name === 'DELETE FROM spool_piece' ? 1 : 0;
        await oneMail({ node, direct, courier }, wire, copies, left).catch((error: unknown) =>
          failed.push(`${name}: ${String(error)}`),
        );
      }
      await node.stop();
    }),
  );
  expect(failed).toEqual([]);
});

test('a mail is kept or refused for now, and delivered, by a node that has no connection left for some moments', async () => {
  const [lane] = lanes;
  if (lane === undefined) throw new Error('a lane');
  const { wire, database, direct } = lane;
  const courier = new ScriptedCourier();
  const node = await deliveringNode({ place: { host: '127.0.0.1', port: wire.port, database }, courier });
  node.deliverer.start();
  for (const state of ['53300', '57P03', null]) {
    const before = courier.mails.length;
    wire.close(state);
    const refused = await node.queue.enqueue([mailTo({ time: { now: new Date() } })]).catch((error) => error);
    expect(refused).toBeInstanceOf(SealgateError);
    expect(refused).toMatchObject({ duration: 'temporary' });
    wire.open();
    await send(node, 'b');
    await eventually(() => expect(courier.mails.length).toBe(before + 1));
  }
  await eventually(async () => expect(await direct.store.query(sql`SELECT id FROM delivery`)).toEqual([]));
  await node.stop();
});
