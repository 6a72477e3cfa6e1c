import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { noFiles } from '../../src/config/files.ts';
import { parseConfig } from '../../src/config/load.ts';
import { requireCommand } from '../support/require-command.ts';

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
