import { join } from 'node:path';
import { DueJobs } from '../../../src/cluster/due-jobs.ts';
import { installationFromSecret } from '../../../src/cluster/installation-from-secret.ts';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { Secret } from '../../../src/log/secret.ts';
import { clusterTables } from '../../../src/store/cluster-tables.ts';
import { openPostgresql, type PostgresqlStore } from '../../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../../src/store/postgresql-migrations.ts';
import { sql } from '../../../src/store/sql-store.ts';
import { type Started, temporaryFolder } from '../../support/services/disposable.ts';
import { type Haproxy, startHaproxy } from '../../support/services/haproxy.ts';
import { type Postgresql, postgresql } from '../../support/services/postgresql.ts';
import { type Redis, redis } from '../../support/services/redis.ts';
import { CLUSTER_SECRET, clusterFiles } from './cluster-files.ts';
import { gatewayProcess, type Node } from './gateway-process.ts';
import { type NumberedSink, startNumberedSink } from './numbered-sink.ts';
import { sendNumbered } from './send-numbered.ts';

/** Three gateways with one database, one Redis and one balancer before them, and a mail server behind. */
export type ThreeNodes = {
  nodes: readonly [Node, Node, Node];
  sink: NumberedSink;
  database: Started<Postgresql>;
  redis: Started<Redis>;
  store: PostgresqlStore;
  configFile: string;
  /** Sends by the balancer. @returns null: it was accepted; else what was said instead */
  send(number: number): Promise<string | null>;
  /** Deliveries in the queue; `of`: that this node is at work on. */
  queued(of?: Node): Promise<number>;
  /** As if the time of its claims were over. */
  expire(node: Node): Promise<void>;
  stop(): Promise<void>;
};

export async function startThreeNodes(): Promise<ThreeNodes> {
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const { folder, remove } = await temporaryFolder('three-nodes');
    undo.push(remove);
    const [configure, database, queue, sink] = await Promise.all([
      clusterFiles(folder),
      postgresql(),
      redis(),
      startNumberedSink(),
    ]);
    for (const one of [database, queue, sink]) undo.push(() => one.stop());
    const place = { host: database.socket, port: database.port, database: await database.database() };
    const nodes: Node[] = [];
    const ports: number[] = [];
    for (const name of ['one', 'two', 'three']) {
      const port = await freePort();
      const file = await configure(name, {
        ...{ listener: { host: '127.0.0.1', port }, balancer: true, database: place },
        redis: { host: '127.0.0.1', port: queue.port },
        mailServer: { host: '127.0.0.1', port: sink.port },
      });
      const node = gatewayProcess(name, file);
      undo.push(() => node.kill());
      nodes.push(node);
      ports.push(port);
    }
    await Promise.all(nodes.map((node) => node.start()));
    const haproxy: Haproxy = await startHaproxy([{ to: ports, header: 'send-proxy-v2' }]);
    undo.push(() => haproxy.stop());
    const store = await openPostgresql(
      { ...place, user: 'test', password: null, tls: null, connections: 2, timeoutSeconds: 5 },
      postgresqlMigrations,
      clusterTables(),
    );
    undo.push(() => store.close());
    const jobs = new DueJobs({
      place: {
        ...{ host: '127.0.0.1', port: queue.port, tls: null, user: null, password: null, db: 0 },
        prefix: `sealgate:${installationFromSecret(new Secret(CLUSTER_SECRET)).id}`,
      },
      ...{ sweepMs: 3_600_000, log: { write: () => undefined } },
    });
    undo.push(() => jobs.stop());
    await jobs.open();
    const [one, two, three] = nodes;
    if (one === undefined || two === undefined || three === undefined) throw new Error('three nodes');
    const runOf = ({ name }: Node) => sql`(SELECT run FROM cluster_node WHERE name = ${name})`;
    return {
      ...{ nodes: [one, two, three], sink, database, redis: queue, store, stop },
      configFile: join(folder, 'one', 'gateway.yaml'),
      send: (number) => sendNumbered(number, { host: '127.0.0.1', port: haproxy.ports[0] ?? 0 }),
      async queued(of) {
        const [row] = await store.query(
          of === undefined
            ? sql`SELECT count(*) AS n FROM delivery`
            : sql`SELECT count(*) AS n FROM delivery WHERE lease_holder = ${runOf(of)}`,
        );
        return Number(row?.n);
      },
      async expire(node) {
        await store.query(sql`UPDATE delivery SET lease_until = 1 WHERE lease_holder = ${runOf(node)}`);
        jobs.written([{ place: { kind: 'smtp', destination: 'server' }, at: new Date() }]);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
