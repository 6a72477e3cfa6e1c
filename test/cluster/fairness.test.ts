import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DueJobs } from '../../src/cluster/due-jobs.ts';
import type { Courier, DeliveryOutcome } from '../../src/queue/ports.ts';
import { sql } from '../../src/store/sql-store.ts';
import { mailbox, mailTo } from '../queue/support/queue.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { DURABLE, type Redis, redis } from '../support/services/redis.ts';
import { type DeliveringNode, deliveringNode } from './support/delivering-node.ts';

/**
 * One mail of a quiet sender behind 10,000 of a loud one for the same destination. Turns and `connections` are of each node (docs/cluster.md):
 * more nodes make more connections, and nobody waits for longer.
 */

let server: Started<Postgresql>;
let messenger: Started<Redis>;
beforeAll(async () => {
  [server, messenger] = await Promise.all([postgresql(), redis(DURABLE)]);
});
afterAll(() => Promise.all([server.stop(), messenger.stop()]));

/** `connections` of the destination, on each node. */
const CONNECTIONS = 2;
const LOUD = 10_000;
/** Of the loud sender's, while the quiet one's waits: one or two with one node, up to nine with three. */
const BEFORE_IT = 300;

/** The one mail server that all nodes call. */
class Destination {
  readonly begun: string[] = [];
  /** Connections at the same moment, at most. */
  most = 0;
  #now = 0;

  courier(): Courier {
    return {
      deliver: async ({ envelope }): Promise<readonly DeliveryOutcome[]> => {
        this.begun.push(envelope.reversePath?.localPart ?? '');
        this.most = Math.max(this.most, ++this.#now);
        await sleep(10);
        this.#now--;
        return envelope.recipients.map((recipient) => ({ recipient, kind: 'delivered', reply: null }));
      },
      close: async () => undefined,
    };
  }

  count(who: string): number {
    return this.begun.filter((one) => one === who).length;
  }
}

const mailOf = (from: string) => {
  const mail = mailTo({ time: { now: new Date() } });
  return { ...mail, envelope: { ...mail.envelope, reversePath: mailbox(`${from}@example.org`) } };
};

/** As many more like the one that is there. */
async function multiply({ store }: DeliveringNode): Promise<void> {
  const columns = {
    sql: `spool, mail, purpose, kind, destination, lane, attempts, way, reverse_path, parameters, require_tls, octets, enqueued_at,
      expires_at, next_at, overdue_at, last_at, delay_told, state, held_at, lease_holder, lease_until, fence`,
    parameters: [],
  };
  await store.transaction([
    sql`INSERT INTO delivery (id, ${columns}) SELECT 'copy' || i, ${columns} FROM delivery, generate_series(1, ${LOUD}) AS i`,
    sql`INSERT INTO delivery_recipient (delivery, position, recipient)
      SELECT d.id, r.position, r.recipient FROM delivery d, delivery_recipient r WHERE d.id LIKE 'copy%'`,
  ]);
}

test.each([1, 3])('with %i nodes it is delivered among the next ones', async (count) => {
  const place = { host: server.socket, port: server.port, database: await server.database() };
  const prefix = `p${count}`;
  const destination = new Destination();
  const nodes: DeliveringNode[] = [];
  for (let i = 0; i < count; i++) {
    const at = { host: '127.0.0.1', port: messenger.port, tls: null, user: null, password: null, db: 0 };
    const work = new DueJobs({
      ...{ place: { ...at, prefix }, sweepMs: 10_000, log: { write: () => undefined } },
    });
    await work.open();
    nodes.push(
      await deliveringNode({ place, courier: destination.courier(), work, atOnce: CONNECTIONS, most: 200 }),
    );
  }
  const [first] = nodes;
  if (first === undefined) throw new Error('no node');
  await first.queue.enqueue([mailOf('loud')]);
  await multiply(first);
  for (const node of nodes) node.deliverer.start();
  await eventually(() => expect(destination.count('loud')).toBeGreaterThan(10 * count));
  for (const [i, node] of [...nodes, ...nodes].entries()) {
    const before = destination.count('loud');
    await node.queue.enqueue([mailOf('quiet')]);
    await eventually(() => expect(destination.count('quiet')).toBe(i + 1));
    expect(destination.begun.lastIndexOf('quiet') - i - before).toBeLessThan(BEFORE_IT);
  }
  // Of each node: all of them together make more, and none makes more than its own.
  const alone = Math.min(count - 1, 1) * CONNECTIONS;
  await eventually(() => expect(destination.most).toBeGreaterThan(alone));
  expect(destination.most).toBeLessThanOrEqual(count * CONNECTIONS);
  for (const node of nodes) {
    await node.stop();
    expect(node.events.filter(({ level }) => level === 'error')).toEqual([]);
  }
});
