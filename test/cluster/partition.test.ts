import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../src/evaluation/free-port.ts';
import { clusterTables } from '../../src/store/cluster-tables.ts';
import { openPostgresql, type PostgresqlStore } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import { sql } from '../../src/store/sql-store.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryFolder } from '../support/services/disposable.ts';
import { networkNamespace } from '../support/services/network-namespace.ts';
import { postgresql } from '../support/services/postgresql.ts';
import { DURABLE, redis } from '../support/services/redis.ts';
import { clusterFiles } from './support/cluster-files.ts';
import { gatewayProcess, type Node } from './support/gateway-process.ts';
import { type NumberedSink, startNumberedSink } from './support/numbered-sink.ts';
import { sendNumbered } from './support/send-numbered.ts';

/**
 * Two nodes of which one has a network of its own: what it has with its clients, its mail server, the database and Redis are links that can
 * lose every packet. Nothing is refused then, and nothing is reset: there is silence.
 */

type LinkName = 'outside' | 'database' | 'redis';
type Place = { host: string; port: number };

const undo: (() => Promise<unknown>)[] = [];
let network: Awaited<ReturnType<typeof networkNamespace<LinkName>>>;
let sink: NumberedSink;
let store: PostgresqlStore;
let apart: Node & Place;
let other: Node & Place;
let number = 0;

beforeAll(async () => {
  network = await networkNamespace(['outside', 'database', 'redis']);
  undo.push(() => network.stop());
  const { links } = network;
  const { folder, remove } = await temporaryFolder('partition');
  undo.push(remove);
  const [configure, server, queue] = await Promise.all([
    clusterFiles(folder),
    postgresql({
      address: links.database.near,
      access: [`host all test ${links.database.far}/32 trust`],
    }),
    redis({ ...DURABLE, bind: `127.0.0.1 ${links.redis.near}`, 'protected-mode': 'no' }),
  ]);
  sink = await startNumberedSink('0.0.0.0');
  for (const one of [server, queue, sink]) undo.push(() => one.stop());
  const database = await server.database();
  const node = async (
    name: string,
    near: Record<LinkName | 'listener', string>,
    within: readonly string[],
  ) => {
    const listener = { host: near.listener, port: await freePort() };
    const file = await configure(name, {
      ...{ listener, balancer: false },
      database: { host: near.database, port: server.port, database, timeoutSeconds: 1 },
      redis: { host: near.redis, port: queue.port },
      mailServer: { host: near.outside, port: sink.port },
    });
    const process = gatewayProcess(name, file, within);
    undo.push(() => process.kill());
    return Object.assign(process, listener);
  };
  const { outside, database: rows, redis: jobs } = links;
  const there = { database: rows.near, redis: jobs.near, outside: outside.near, listener: outside.far };
  apart = await node('apart', there, network.within);
  const here = { redis: '127.0.0.1', outside: '127.0.0.1', listener: '127.0.0.1' };
  other = await node('other', { ...here, database: server.socket }, []);
  await Promise.all([apart.start(), other.start()]);
  store = await openPostgresql(
    {
      ...{ host: server.socket, port: server.port, database, user: 'test', password: null, tls: null },
      ...{ connections: 1, timeoutSeconds: 5 },
    },
    postgresqlMigrations,
    clusterTables(),
  );
  undo.push(() => store.close());
}, 60_000);
afterAll(async () => {
  for (const step of undo.toReversed()) await step();
});

async function accepted(node: Place, count: number): Promise<readonly number[]> {
  const mine = Array.from({ length: count }, () => ++number);
  expect(await Promise.all(mine.map((one) => sendNumbered(one, node)))).toEqual(mine.map(() => null));
  return mine;
}

const copies = (numbers: readonly number[]) =>
  sink.taken.filter((one) => numbers.includes(one.number)).length;

/** Each is there, as it has to leave, and nothing waits any more. */
async function arrive(numbers: readonly number[]): Promise<void> {
  await eventually(async () => {
    const there = new Set(sink.taken.map((one) => one.number));
    expect(numbers.filter((one) => !there.has(one))).toEqual([]);
    expect(await store.query(sql`SELECT id FROM delivery`)).toEqual([]);
  });
  for (const { octets } of sink.taken)
    expect(octets.toString('latin1')).toContain('application/pkcs7-signature');
}

const runOf = ({ name }: Node) => sql`(SELECT run FROM cluster_node WHERE name = ${name})`;

test('a node that is cut off from what all share: another finishes its mails, and it takes none until it is back', async () => {
  sink.shut();
  const before = [...(await accepted(apart, 4)), ...(await accepted(other, 2))];
  await eventually(() => expect(sink.waiting()).toBe(4));
  await network.cut('database', 'redis');
  // As if the time of its claims were over.
  await store.query(sql`UPDATE delivery SET lease_until = 1 WHERE lease_holder = ${runOf(apart)}`);
  const refused = sendNumbered(++number, apart);
  const during = await accepted(other, 2);
  sink.open();
  await arrive([...before, ...during]);
  expect(await refused).toMatch(/ 4\d\d /);
  await network.heal();
  await eventually(() => {
    const known = ['queue.delivered', 'queue.claim-lost'];
    expect(apart.lines.filter(({ event }) => known.includes(String(event)))).toHaveLength(2);
  });
  // It had brought two to the mail server and could not write it down; whoever took them over knew nothing of that.
  expect(copies([...before, ...during])).toBe(before.length + during.length + 2);
  const after = await accepted(apart, 2);
  await arrive(after);
  expect(copies(after)).toBe(2);
  expect(sink.taken.map((one) => one.number)).not.toContain(-1);
  for (const { complaints, lines } of [apart, other]) {
    expect(complaints).toEqual([]);
    expect(lines.filter(({ event }) => event === 'queue.failed')).toEqual([]);
  }
});

test('a node that is cut off from Redis alone takes mail and delivers it', async () => {
  await network.cut('redis');
  const numbers = [...(await accepted(apart, 3)), ...(await accepted(other, 3))];
  await arrive(numbers);
  expect(copies(numbers)).toBe(6);
  await network.heal();
  const after = await accepted(apart, 2);
  await arrive(after);
  expect(copies(after)).toBe(2);
});
