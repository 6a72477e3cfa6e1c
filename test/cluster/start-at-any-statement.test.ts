import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Config, loadConfig } from '../../src/config/load.ts';
import { startGateway } from '../../src/gateway.ts';
import { type Started, temporaryFolder } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { type Redis, redis } from '../support/services/redis.ts';
import { clusterFiles } from './support/cluster-files.ts';
import { type StatementFault, startStatementWire } from './support/statement-wire.ts';

/** A real PostgreSQL that fails a node at any statement of its start: the node waits, and is there by itself. */

/** Nodes that start side by side. */
const LANES = 8;

let server: Started<Postgresql>;
let messenger: Started<Redis>;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let configure: Awaited<ReturnType<typeof clusterFiles>>;
beforeAll(async () => {
  folder = await temporaryFolder('any-start');
  [server, messenger, configure] = await Promise.all([postgresql(), redis(), clusterFiles(folder.folder)]);
});
afterAll(async () => {
  await Promise.all([server.stop(), messenger.stop()]);
  await folder.remove();
});

async function nodeConfig(name: string, port: number, database: string): Promise<Config> {
  const file = await configure(name, {
    listener: { host: '127.0.0.1', port: 0 },
    database: { host: '127.0.0.1', port, database, timeoutSeconds: 2 },
    redis: { host: '127.0.0.1', port: messenger.port },
    mailServer: { host: '127.0.0.1', port: 25 },
    balancer: false,
  });
  const loaded = await loadConfig(file);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

/** The second without keys, since nothing of it uses one. */
const STARTS: readonly { name: string; what: string; fault: StatementFault; of(config: Config): Config }[] = [
  {
    ...{ name: 'with the queue', what: 'is carried out, and its connection lost' },
    fault: { kind: 'unheard' },
    of: (config) => config,
  },
  {
    ...{ name: 'without a queue', what: 'finds a server that is shut down' },
    fault: { kind: 'ended' },
    of: ({ submission, principals, ...config }) => ({
      ...{ ...config, queue: null, keys: [], principals: { ...principals, list: [] } },
      submission: submission.map((one) => ({ ...one, delivery: 'live' })),
    }),
  },
];

test.each(STARTS)(
  'a node $name starts where any statement of its start $what',
  async ({ name, fault, of }) => {
    let next = 0;
    let last = Number.POSITIVE_INFINITY;
    const failed: string[] = [];
    await Promise.all(
      Array.from({ length: LANES }, async (_, lane) => {
        const wire = await startStatementWire(server.socket, server.port);
        const named = `${name} ${lane}`.replaceAll(' ', '-');
        const config = of(await nodeConfig(named, wire.port, await server.database()));
        while (next < last) {
          const statement = next++;
          wire.armAt(fault, statement);
          try {
            const gateway = await startGateway(config, { write: () => undefined });
            await gateway.close();
          } catch (error) {
            failed.push(`statement ${statement}: ${error instanceof Error ? error.stack : error}`);
          }
          if (!wire.isBroken) last = Math.min(last, statement);
        }
        await wire.stop();
      }),
    );
    expect(failed).toEqual([]);
    // It has joined, and read what was shown to clients.
    expect(last).toBeGreaterThan(20);
  },
  240_000,
);
