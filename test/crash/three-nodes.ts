import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../../src/evaluation/free-port.ts';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { createThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { requireCommand } from '../support/require-command.ts';
import { postgresql } from '../support/services/postgresql.ts';
import { redis } from '../support/services/redis.ts';
import { READABLE, SECRET, SENDER } from './numbered-mail.ts';
import { Restartable } from './restartable.ts';
import { killedKeyProcess, type Setting } from './setting.ts';

const NODES = [1, 2, 3];

/** Three gateways with a balancer in front, a database and a Redis that they share, and a mail server behind: each of them is killed. */
export async function threeNodes(folder: string): Promise<Setting> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const [sender, secret, own] = await Promise.all([
    pki.issueUser({ address: SENDER }),
    pki.issueUser({ address: SECRET }),
    pki.issueUser({ address: 'gateway@sealgate.test', keyType: 'p-256' }),
  ]);
  const [port, sinkPort] = [await freePort(), await freePort()];
  const database = await postgresql();
  const messenger = await redis();
  const name = await database.database();
  const secretFile = join(folder, 'cluster.secret');
  await writeFile(secretFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  const kept = join(folder, 'kept.jsonl');
  const server = { host: '127.0.0.1', port: sinkPort, tls: 'none' };
  const settings = (node: number, listening: number) => ({
    hostname: 'gateway.sealgate.test',
    stateFolder: join(folder, `state-${node}`),
    relay: [
      {
        ...{ name: 'load', host: '127.0.0.1', port: listening, tls: 'none', direction: 'outbound' },
        ...{ from: { networks: ['127.0.0.0/8'] }, proxyProtocolFrom: ['127.0.0.0/8'], delivery: 'queue' },
        upstream: server,
      },
    ],
    keys: [
      { name: 'load', kind: 'pem', certificate: sender.certificateFile, key: sender.keyFile },
      { name: 'own', kind: 'pem', certificate: own.certificateFile, key: own.keyFile },
    ],
    principals: { list: [{ login: SENDER, addresses: [SENDER], keys: ['load'] }] },
    trust: { anchors: [pki.ca.certificateFile] },
    directory: {
      pinned: [secret.certificateFile],
      store: {
        ...{ kind: 'postgresql', host: database.socket, port: database.port, database: name },
        ...{ user: 'test', tls: 'none' },
      },
    },
    policy: {
      rules: [
        { name: 'secret', when: { recipient: [SECRET] }, sign: 'require', encrypt: 'require' },
        { name: 'readable', when: { recipient: [READABLE] }, sign: 'require', encrypt: 'never' },
      ],
    },
    queue: { key: 'own', address: 'gateway@sealgate.test', server: { ...server, connections: 4 } },
    cluster: {
      ...{ node: `node-${node}`, secret: { file: secretFile } },
      redis: { host: '127.0.0.1', port: messenger.port, tls: 'none' },
    },
    log: { level: 'warn' },
  });
  const files: string[] = [];
  const gateways: Restartable[] = [];
  const ports: number[] = [];
  for (const node of NODES) {
    const listening = await freePort();
    const file = join(folder, `node-${node}.yaml`);
    await writeFile(file, stringify(settings(node, listening)), { mode: 0o600 });
    const command = [process.execPath, '--max-semi-space-size=8', 'src/main.ts', 'serve', '--config', file];
    files.push(file);
    ports.push(listening);
    gateways.push(new Restartable(`node ${node}`, command, listening));
  }
  const sink = new Restartable(
    'the mail server',
    [process.execPath, 'test/crash/sink-process.ts', String(sinkPort), kept],
    sinkPort,
  );
  const balancer = new Restartable(
    'the balancer',
    [await requireCommand('haproxy'), '-db', '-f', await balancerFile(folder, port, ports)],
    port,
  );
  await sink.start();
  for (const gateway of gateways) await gateway.start();
  await balancer.start();
  const again = async (one: Restartable): Promise<void> => {
    await one.kill();
    await one.start();
  };
  const [file = ''] = files;
  return {
    ...{ port, kept, caFile: pki.ca.certificateFile, secret },
    victims: [
      ...gateways.map((gateway) => ({ name: gateway.name, hit: () => again(gateway) })),
      { name: sink.name, hit: () => again(sink) },
      { name: 'a key process', hit: () => killedKeyProcess(gateways.map(({ pid }) => pid)) },
      {
        name: 'Redis',
        async hit() {
          await messenger.kill();
          await messenger.start();
        },
      },
      { name: 'PostgreSQL', hit: () => database.restart() },
    ],
    async waiting() {
      const [row] = await database.run('SELECT count(*) AS mails FROM delivery', name);
      return Number(row?.mails);
    },
    async hurry() {
      await runToEnd(process.execPath, ['src/main.ts', 'queue', 'retry', '--all', '--config', file]);
    },
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
