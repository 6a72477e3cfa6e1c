import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { childrenOf, isAlive, killed } from '../processes.ts';
import { firstFile } from '../require-command.ts';
import { stopProcess } from '../stop-process.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';

/**
 * A PostgreSQL server of Debian's, in a temporary folder, on a free port of 127.0.0.1 and a Unix socket. It refuses to run
 * as root, so it runs as "nobody" where the tests are root.
 */
export type Postgresql = {
  /** The folder of the Unix socket, over which the superuser "test" needs no password. */
  readonly socket: string;
  readonly port: number;
  pid(): number;
  /** Makes an empty database and gives its name. */
  database(): Promise<string>;
  /** Runs SQL as the superuser. */
  run(sql: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  /** Ends it by its own immediate shutdown, which tells its clients, and starts it again. */
  restart(meanwhile?: () => Promise<void>): Promise<void>;
  /** Ends it as a crash of the machine would: SIGKILL, to every process of it at the same moment. false: it does not run. */
  kill(): Promise<boolean>;
  /** Again, with what is in its folder. @throws Error where it ends before it answers, killed or by itself */
  start(): Promise<void>;
};

export type PostgresqlOptions = {
  /** PEM; TLS is offered where they are given. */
  tls?: { certificate: string; key: string };
  /** Lines of pg_hba.conf before those for the socket. */
  access?: readonly string[];
  /** Beside 127.0.0.1. */
  address?: string;
};

const NOBODY = 65_534;

export async function postgresql({
  tls,
  access = [],
  address,
}: PostgresqlOptions = {}): Promise<Started<Postgresql>> {
  const programs = await programFolder();
  const { folder, remove } = await temporaryFolder('postgresql');
  const asRoot = process.getuid?.() === 0;
  const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const own = async (path: string) => {
    if (asRoot) await chown(path, NOBODY, NOBODY);
  };
  const data = join(folder, 'data');
  const socket = join(folder, 'socket');
  await own(folder);
  for (const made of [data, socket]) {
    await mkdir(made, { mode: 0o700 });
    await own(made);
  }
  const environment = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' };
  const make = spawn(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'test', '-E', 'UTF8', '--no-sync', '--auth=reject', '--locale=C.UTF-8'],
    { ...identity, env: environment, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let complaint = '';
  make.stderr?.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const [code] = (await once(make, 'close')) as [number | null];
  if (code !== 0) throw new Error(`initdb failed: ${complaint}`);
  await writeFile(
    join(data, 'pg_hba.conf'),
    [...access, 'local all test trust', 'local all all reject', ''].join('\n'),
  );
  if (tls !== undefined) {
    for (const [name, text] of Object.entries({ 'server.crt': tls.certificate, 'server.key': tls.key })) {
      await writeFile(join(data, name), text, { mode: 0o600 });
      await own(join(data, name));
    }
  }
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: ['127.0.0.1', ...(address === undefined ? [] : [address])].join(','),
    unix_socket_directories: socket,
    fsync: 'off',
    max_connections: 60,
    shared_buffers: '16MB',
    ssl: tls === undefined ? 'off' : 'on',
    log_min_messages: 'fatal',
  };
  const launched = () =>
    spawn(
      join(programs, 'postgres'),
      ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      { ...identity, env: environment, cwd: folder, stdio: 'ignore' },
    );
  let server = launched();
  const connect = async (database: string) => {
    const client = new Client({ host: socket, port, user: 'test', database, password: () => '' });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const run: Postgresql['run'] = async (sql, database = 'postgres') => {
    const client = await connect(database);
    try {
      return (await client.query(sql)).rows ?? [];
    } finally {
      await client.end();
    }
  };
  const ready = async () => {
    for (;;) {
      const up = await run('SELECT 1').then(
        () => true,
        () => false,
      );
      if (up) return;
      if (hasEnded(server)) throw new Error('PostgreSQL does not start');
      await pause(20);
    }
  };
  const start = async () => {
    server = launched();
    await ready();
  };
  await ready();
  let made = 0;
  return started<Postgresql>({
    socket,
    port,
    pid: () => server.pid ?? 0,
    async database() {
      const name = `test_${++made}`;
      await run(`CREATE DATABASE ${name}`);
      return name;
    },
    run,
    async restart(meanwhile = () => Promise.resolve()) {
      await end(server, 'SIGQUIT');
      await meanwhile();
      await start();
    },
    async kill() {
      if (hasEnded(server)) return false;
      await killAll(server);
      return true;
    },
    start,
    async stop() {
      await end(server, 'SIGQUIT');
      await remove();
    },
  });
}

function hasEnded(server: ChildProcess): boolean {
  return server.exitCode !== null || server.signalCode !== null;
}

async function killAll(server: ChildProcess): Promise<void> {
  const { pid } = server;
  if (pid === undefined) throw new Error('PostgreSQL was not started');
  const gone = once(server, 'exit');
  // Stopped, it makes no process that would be missed here.
  stopProcess(pid);
  const all = [pid, ...(await childrenOf([pid]))];
  for (const one of all) killed(one);
  await gone;
  // Each has the shared memory, which keeps a successor from starting.
  while ((await Promise.all(all.map(isAlive))).includes(true)) await pause(5);
}

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(server)) return;
  const gone = once(server, 'exit');
  server.kill(signal);
  await gone;
}

async function programFolder(): Promise<string> {
  const root = '/usr/lib/postgresql';
  const versions = (await readdir(root).catch(() => [])).toSorted(
    (one, other) => Number(other) - Number(one),
  );
  const paths = versions.map((version) => join(root, version, 'bin', 'postgres'));
  return join(firstFile(paths, 'PostgreSQL', 'postgresql'), '..');
}
