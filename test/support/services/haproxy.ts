import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startForegroundProcess } from '../../../src/evaluation/foreground-process.ts';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { requireCommand } from '../require-command.ts';

/** A port of HAProxy's, and where it hands connections on, to one after the other where there are several; TLS passes through as it is. `http`: it reads requests, and hands on each of them. */
export type Forwarding = {
  to: number | readonly number[];
  header: 'send-proxy' | 'send-proxy-v2';
  mode?: 'tcp' | 'http';
};

export type Haproxy = {
  /** In the order of what was asked for. */
  ports: readonly number[];
  stop(): Promise<void>;
};

/** A real Debian HAProxy in front of servers of this machine. */
export async function startHaproxy(forwardings: readonly Forwarding[]): Promise<Haproxy> {
  const program = await requireCommand('haproxy');
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-haproxy-'));
  const ports = await Promise.all(forwardings.map(() => freePort()));
  const sections = forwardings.map(({ to, header, mode = 'tcp' }, at) =>
    [
      `listen l${at}`,
      `  mode ${mode}`,
      `  bind 127.0.0.1:${ports[at]}`,
      // Checks open a connection and close it, as those of many balancers do.
      ...[to].flat().map((port, i) => `  server gateway${i} 127.0.0.1:${port} ${header} check inter 200ms`),
    ].join('\n'),
  );
  const text = [
    'global\n  maxconn 100',
    'defaults\n  mode tcp\n  option redispatch\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  timeout check 10s',
    ...sections,
    '',
  ].join('\n\n');
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, text);
  const server = await startForegroundProcess(program, ['-db', '-f', file]);
  for (const port of ports) {
    while (!(await accepts(port))) {
      if (server.ended() !== null) throw new Error(`HAProxy did not start: ${server.output()}`);
    }
  }
  return {
    ports,
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
