import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../../src/evaluation/free-port.ts';
import { requireCommand } from '../support/require-command.ts';
import { postgresql } from '../support/services/postgresql.ts';
import { redis } from '../support/services/redis.ts';
import { gatewayProcess, loadWorld, retryAll } from './load-world.ts';
import { Restartable } from './restartable.ts';
import { revived } from './revived.ts';
import { keyProcess, type Setting } from './setting.ts';

const NODES = [1, 2, 3];

/** Three gateways with a balancer in front, a database and a Redis that they share, and a mail server behind: each of them is killed. */
export async function threeNodes(folder: string): Promise<Setting> {
  const { port, kept, caFile, secret, server, queue, settings, sink } = await loadWorld(folder);
  const database = await postgresql();
  const messenger = await redis();
  const name = await database.database();
  const secretFile = join(folder, 'cluster.secret');
  await writeFile(secretFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  const config = (node: number, listening: number) => ({
    ...settings,
    stateFolder: join(folder, `state-${node}`),
    relay: [
      {
        ...{ name: 'load', host: '127.0.0.1', port: listening, tls: 'none', direction: 'outbound' },
        ...{ from: { networks: ['127.0.0.0/8'] }, proxyProtocolFrom: ['127.0.0.0/8'], delivery: 'queue' },
        upstream: server,
      },
    ],
    directory: {
      pinned: [secret.certificateFile],
      store: {
        ...{ kind: 'postgresql', host: database.socket, port: database.port, database: name },
        ...{ user: 'test', tls: 'none' },
      },
    },
    queue: { ...queue, server: { ...server, connections: 4 } },
    cluster: {
      ...{ node: `node-${node}`, secret: { file: secretFile } },
      redis: { host: '127.0.0.1', port: messenger.port, tls: 'none' },
    },
  });
  const files: string[] = [];
  const gateways: Restartable[] = [];
  const ports: number[] = [];
  for (const node of NODES) {
    const listening = await freePort();
    const file = join(folder, `node-${node}.yaml`);
    await writeFile(file, stringify(config(node, listening)), { mode: 0o600 });
    files.push(file);
    ports.push(listening);
    gateways.push(gatewayProcess(`node ${node}`, file, listening));
  }
  const balancer = new Restartable(
    'the balancer',
    [await requireCommand('haproxy'), '-db', '-f', await balancerFile(folder, port, ports)],
    port,
  );
  await sink.start();
  for (const gateway of gateways) await gateway.start();
  await balancer.start();
  const [file = ''] = files;
  return {
    ...{ port, kept, caFile, secret },
    victims: [
      ...gateways.map(revived),
      revived(sink),
      keyProcess(() => gateways.map(({ pid }) => pid)),
      revived({ name: 'Redis', kill: () => messenger.kill(), start: () => messenger.start() }),
      revived({ name: 'PostgreSQL', kill: () => database.kill(), start: () => database.start() }),
    ],
    endedByItself: Promise.race([...gateways, sink, balancer].map((one) => one.endedByItself)),
    async waiting() {
      const [row] = await database.run('SELECT count(*) AS mails FROM delivery', name);
      return Number(row?.mails);
    },
    hurry: () => retryAll(file),
    async stop() {
      await balancer.stop();
      for (const gateway of gateways) await gateway.stop();
      await sink.stop();
      await messenger.stop();
      await database.stop();
    },
  };
}

async function balancerFile(folder: string, port: number, ports: readonly number[]): Promise<string> {
  const file = join(folder, 'haproxy.cfg');
  const servers = ports.map(
    (to, at) => `  server node-${at + 1} 127.0.0.1:${to} send-proxy-v2 check inter 100 fall 1 rise 1`,
  );
  const text = [
    'defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  option redispatch',
    `listen mail\n  bind 127.0.0.1:${port}\n${servers.join('\n')}`,
    '',
  ].join('\n\n');
  await writeFile(file, text);
  return file;
}
