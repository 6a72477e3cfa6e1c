import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Until the server takes connections on this port of 127.0.0.1. @param what for people */
export async function listening(port: number, server: ChildProcess, what: string): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const up = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (up) return;
    if (server.exitCode !== null || server.signalCode !== null) throw new Error(`${what} does not start`);
    await pause(10);
  }
}
