import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createTransport } from 'nodemailer';
import { stringify } from 'yaml';
import { DueJobs } from '../../../src/cluster/due-jobs.ts';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { clusterTables } from '../../../src/store/cluster-tables.ts';
import { openPostgresql, type PostgresqlStore } from '../../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../../src/store/postgresql-migrations.ts';
import { sql } from '../../../src/store/sql-store.ts';
import { type Started, temporaryFolder } from '../../support/services/disposable.ts';
import { type Haproxy, startHaproxy } from '../../support/services/haproxy.ts';
import { type Postgresql, postgresql } from '../../support/services/postgresql.ts';
import { type Redis, redis } from '../../support/services/redis.ts';
import { type NumberedSink, startNumberedSink } from './numbered-sink.ts';

/** A process of the gateway, with the lines of its log. */
export type Node = {
  readonly name: string;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** What it wrote to its standard error, and how it ended where nobody asked it to. */
  readonly complaints: readonly string[];
  signal(signal: NodeJS.Signals): void;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  start(): Promise<void>;
};

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
    const [pki, database, queue, sink] = await Promise.all([
      createThrowawayPki(join(folder, 'pki')),
      postgresql(),
      redis(),
      startNumberedSink(),
    ]);
    for (const one of [database, queue, sink]) undo.push(() => one.stop());
    const alice = await pki.issueUser({ address: 'alice@sealgate.test' });
    const own = await pki.issueUser({ address: 'gateway@sealgate.test' });
    const secret = join(folder, 'cluster.secret');
    await writeFile(secret, '0123456789abcdef'.repeat(3), { mode: 0o600 });
    const place = { host: database.socket, port: database.port, database: await database.database() };
    const upstream = { host: '127.0.0.1', port: sink.port, tls: 'none' };
    const pem = ({ certificateFile: certificate, keyFile: key }: typeof own, name: string) => ({
      ...{ name, kind: 'pem', certificate, key },
    });
    const nodes: Node[] = [];
    const ports: number[] = [];
    for (const name of ['one', 'two', 'three']) {
      const port = await freePort();
      await mkdir(join(folder, name), { mode: 0o700 });
      const file = join(folder, name, 'gateway.yaml');
      await writeFile(
        file,
        stringify({
          ...{ hostname: 'gateway.sealgate.test', stateFolder: join(folder, name, 'state') },
          log: { format: 'json', level: 'debug' },
          submission: [
            {
              ...{ name: 'submission', host: '127.0.0.1', port, tls: 'none', delivery: 'queue', upstream },
              ...{ proxyProtocolFrom: ['127.0.0.1'], allowPlaintext: true },
            },
          ],
          keys: [pem(alice, 'alice'), pem(own, 'gateway')],
          principals: { list: [{ login: 'alice', addresses: ['alice@sealgate.test'], keys: ['alice'] }] },
          trust: { anchors: [pki.ca.certificateFile] },
          policy: { rules: [{ name: 'all', sign: 'require', encrypt: 'never' }] },
          queue: { key: 'gateway', address: 'gateway@sealgate.test', server: upstream },
          directory: { store: { kind: 'postgresql', ...place, tls: 'none', user: 'test' } },
          cluster: {
            ...{ node: name, secret: { file: secret } },
            redis: { host: '127.0.0.1', port: queue.port, tls: 'none' },
          },
        }),
        { mode: 0o600 },
      );
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
        prefix: 'sealgate',
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
      async send(number) {
        const client = createTransport({
          ...{ host: '127.0.0.1', port: haproxy.ports[0] ?? 0, ignoreTLS: true },
          auth: { user: 'alice', pass: 'pass' },
        });
        const mail = { from: 'alice@sealgate.test', to: 'bob@sealgate.test', subject: `number ${number}` };
        try {
          await client.sendMail({ ...mail, text: `This is number ${number}.` });
          return null;
        } catch (error) {
          return String(error);
        } finally {
          client.close();
        }
      },
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

function gatewayProcess(name: string, file: string): Node {
  const lines: Record<string, unknown>[] = [];
  const complaints: string[] = [];
  let child: ChildProcess | null = null;
  return {
    ...{ name, lines, complaints },
    signal(signal) {
      child?.kill(signal);
    },
    async kill() {
      const ending = child;
      if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return;
      const gone = once(ending, 'exit');
      ending.kill('SIGKILL');
      await gone;
    },
    async start() {
      const started = spawn(
        process.execPath,
        [resolve('src/main.ts'), 'serve', '--no-upstream-check', '--config', file],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      child = started;
      const listening = Promise.withResolvers<void>();
      let rest = '';
      started.stderr?.on('data', (octets: Buffer) => {
        complaints.push(octets.toString());
      });
      started.stdout?.on('data', (octets: Buffer) => {
        const texts = `${rest}${octets.toString()}`.split('\n');
        rest = texts.pop() ?? '';
        for (const text of texts) {
          const line = JSON.parse(text) as Record<string, unknown>;
          lines.push(line);
          if (line.event === 'gateway.listening') listening.resolve();
        }
      });
      started.once('exit', (code, signal) => {
        if (signal !== 'SIGKILL') complaints.push(`ended: ${code ?? signal}`);
        listening.reject(new Error(`node ${name} ended: ${complaints.join('')}`));
      });
      await listening.promise;
      listening.promise.catch(() => undefined);
    },
  };
}
