import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Redis as Client } from 'ioredis';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import { listening } from './listening.ts';

/** A Redis of Debian's, in a temporary folder, on a free port of 127.0.0.1. */
export type Redis = {
  readonly port: number;
  pid(): number;
  /** A connection of the test's own; closed with the server. */
  client(): Client;
  /** Ends it, as a crash does (`SIGKILL`) or in order. false: it does not run. */
  kill(signal?: NodeJS.Signals): Promise<boolean>;
  /** Again, on the same port, with what is in its folder. */
  start(): Promise<void>;
};

/** As a cluster wants them. */
export const DURABLE = { appendonly: 'yes', appendfsync: 'always', 'maxmemory-policy': 'noeviction' };

export async function redis(settings: Readonly<Record<string, string>> = DURABLE): Promise<Started<Redis>> {
  const program = await requireCommand('redis-server');
  const { folder, remove } = await temporaryFolder('redis');
  const port = await freePort();
  const clients: Client[] = [];
  const all = { port: `${port}`, bind: '127.0.0.1', dir: folder, save: '', daemonize: 'no', ...settings };
  let server: ChildProcess | null = null;
  const start = async () => {
    const words = Object.entries(all).flatMap(([name, value]) => [`--${name}`, ...wordsOf(value)]);
    server = spawn(program, words, { cwd: folder, stdio: 'ignore' });
    await listening(port, server, 'Redis');
  };
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    const ending = server;
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return false;
    const gone = once(ending, 'exit');
    ending.kill(signal);
    await gone;
    return true;
  };
  await start();
  return started<Redis>({
    port,
    pid: () => server?.pid ?? 0,
    client() {
      const client = new Client({ port, host: '127.0.0.1' });
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    ...{ kill, start },
    async stop() {
      for (const client of clients) client.disconnect();
      await kill();
      await remove();
    },
  });
}

/** Of `user default on +@all` each word is an argument; an empty setting is one, too. */
function wordsOf(value: string): readonly string[] {
  return value === '' ? [''] : value.split(' ');
}
