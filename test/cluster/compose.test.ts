import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { shortcomings } from '../../src/cluster/redis-durability.ts';
import { noFiles } from '../../src/config/files.ts';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { limits } from '../../src/limits.ts';
import { requireCommand } from '../support/require-command.ts';
import { redis } from '../support/services/redis.ts';

/** docker/compose.cluster.yaml and what it names, held against each other without Docker. */

const docker = join(import.meta.dirname, '..', '..', 'docker');
const text = (name: string) => readFile(join(docker, name), 'utf8');

type Service = {
  image?: string;
  build?: unknown;
  hostname?: string;
  command?: readonly string[];
  volumes?: readonly string[];
  networks: readonly string[];
  depends_on?: object | readonly string[];
  healthcheck?: { test: readonly string[] };
  stop_grace_period?: string;
};
type Compose = {
  services: Record<string, Service>;
  volumes: Record<string, null>;
  networks: { cluster: { ipam: { config: readonly { subnet: string }[] } } };
};

async function compose(): Promise<Compose> {
  return parse(await text('compose.cluster.yaml'), { merge: true });
}

async function config() {
  const yaml = await text('cluster/gateway.yaml');
  const files = { ...noFiles, readSecret: () => ({ kind: 'ok', value: 'x'.repeat(48) }) as const };
  return parseConfig('/etc/sealgate/gateway.yaml', yaml, files);
}

test('the configuration of the nodes is sound, and names what the compose file starts', async () => {
  const loaded = await config();
  expect(loaded).toMatchObject({ kind: 'ok', warnings: [] });
  if (loaded.kind === 'invalid') return;
  const { cluster, directory, queue, submission, imap } = loaded.config;
  const { services, networks } = await compose();
  const named = [
    cluster?.redis?.host,
    directory.store.kind === 'postgresql' ? directory.store.host : null,
    queue?.server?.host,
    ...[...submission, ...imap].map(({ upstream }) => upstream.host),
  ];
  for (const host of named) expect(Object.keys(services)).toContain(host);
  for (const { proxyProtocolFrom } of [...submission, ...imap]) {
    expect(proxyProtocolFrom).toEqual(networks.cluster.ipam.config.map(({ subnet }) => subnet));
  }
  // One file for all: each node has the name of its machine.
  expect(cluster?.node).toBeNull();
});

async function sound() {
  const loaded = await config();
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

test('three nodes with states of their own, and everything else alike', async () => {
  const { services } = await compose();
  const nodes = ['gateway-1', 'gateway-2', 'gateway-3'].map((name) => ({ name, ...services[name] }));
  const alike = nodes.map(({ name, hostname, volumes = [], ...rest }) => {
    expect(hostname).toBe(name);
    expect(volumes).toContain(`state-${name.slice(-1)}:/var/lib/sealgate`);
    return { ...rest, volumes: volumes.filter((one) => !one.startsWith('state-')) };
  });
  expect(alike[1]).toEqual(alike[0]);
  expect(alike[2]).toEqual(alike[0]);
});

test('a database is ready when it answers where the nodes ask, and a node has time to end by itself', async () => {
  const { services } = await compose();
  const { store } = (await sound()).directory;
  expect(services.postgresql?.healthcheck?.test.slice(0, 3)).toEqual(['CMD', 'pg_isready', '-h']);
  expect(store.kind).toBe('postgresql');
  const seconds = Number(/^([0-9]+)s$/.exec(services['gateway-1']?.stop_grace_period ?? '')?.[1]);
  // Sessions first, then what the queue is delivering.
  const { closeTimeoutMs, lastWordsTimeoutMs } = limits.smtp;
  const own = [closeTimeoutMs, lastWordsTimeoutMs, closeTimeoutMs, limits.imapOut.closeTimeoutMs];
  expect(seconds * 1_000).toBeGreaterThan(own.reduce<number>((sum, each) => sum + each, 0));
});

test('what is made for it is what the nodes and Redis read', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-compose-'));
  let server: Awaited<ReturnType<typeof redis>> | null = null;
  const clients: Redis[] = [];
  try {
    const keys = join(folder, 'keys');
    const uid = process.getuid?.() ?? 0;
    const env = {
      ...process.env,
      GATEWAY_UID: `${uid}`,
      REDIS_UID: `${uid}`,
      PATH: `${join(docker, 'mail-server')}:${process.env.PATH}`,
    };
    const make = () => promisify(execFile)('sh', [join(docker, 'cluster', 'cluster-keys'), keys], { env });
    await make();
    const first = await readFile(join(keys, 'mail-server', 'users'), 'utf8');
    // `up` comes again.
    await make();
    expect(await readFile(join(keys, 'mail-server', 'users'), 'utf8')).toBe(first);
    const yaml = (await text('cluster/gateway.yaml')).replaceAll('/keys/', `${keys}/`);
    const file = join(folder, 'gateway.yaml');
    await writeFile(file, yaml);
    expect(await loadConfig(file)).toMatchObject({ kind: 'ok', warnings: [] });
    const conf = await readFile(join(keys, 'redis', 'redis.conf'), 'utf8');
    const settings = Object.fromEntries(
      conf
        .trim()
        .split('\n')
        .map((line) => line.split(' ') as [string, string]),
    );
    const { dir: _, ...kept } = settings;
    server = await redis(kept);
    const client = new Redis({ port: server.port, password: settings.requirepass ?? '' });
    clients.push(client);
    expect(await shortcomings(client)).toEqual([]);
  } finally {
    for (const client of clients) client.disconnect();
    await server?.stop();
    await rm(folder, { recursive: true });
  }
});

test('volumes, networks and what services wait for are there', async () => {
  const { services, volumes } = await compose();
  const mounted = Object.values(services).flatMap(({ volumes: own = [] }) => own);
  const named = mounted.map((one) => one.split(':')[0] ?? '');
  expect(new Set(named.filter((name) => !name.startsWith('.')))).toEqual(new Set(Object.keys(volumes)));
  for (const file of named.filter((name) => name.startsWith('./'))) await text(file);
  for (const { depends_on: awaited = [], networks, image, build } of Object.values(services)) {
    const names = Array.isArray(awaited) ? awaited : Object.keys(awaited);
    for (const name of names) expect(Object.keys(services)).toContain(name);
    expect(networks).toEqual(['cluster']);
    expect(image ?? build).toBeDefined();
  }
});

test('HAProxy finds its configuration sound; Redis is told to forget nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-compose-'));
  try {
    const file = join(folder, 'haproxy.cfg');
    await writeFile(file, await text('cluster/haproxy.cfg'));
    await promisify(execFile)(await requireCommand('haproxy'), ['-c', '-f', file]);
  } finally {
    await rm(folder, { recursive: true });
  }
  const script = await text('cluster/cluster-keys');
  for (const line of ['appendonly yes', 'appendfsync always', 'maxmemory-policy noeviction']) {
    expect(script).toContain(`\n${line}\n`);
  }
});

test('every secret that the configuration names is made', async () => {
  const yaml = await text('cluster/gateway.yaml');
  const made = `${await text('cluster/cluster-keys')}${await text('mail-server/throwaway-keys')}`;
  const names = [...yaml.matchAll(/\/keys\/gateway\/([a-z.0-9]+)/g)].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) {
    const [stem = '', ending = ''] = name.split(/\.(?=[a-z0-9]+$)/);
    expect(made.includes(stem) && made.includes(`.${ending}`), name).toBe(true);
  }
});
