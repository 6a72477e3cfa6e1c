import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { secured } from '../../src/connections/handshake.ts';
import { tlsContext } from '../../src/connections/tls-context.ts';
import { certificateFor } from '../support/certificate.ts';
import { requireCommand } from '../support/require-command.ts';

beforeAll(() => requireCommand('openssl'));

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanUp.splice(0).reverse()) await one();
});

/** Greets by TLS. */
async function greeter(oldTls: boolean): Promise<number> {
  const material = certificateFor('localhost');
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket.on('error', () => undefined));
    secured(socket, tlsContext(material, oldTls), 60_000).then(
      (secure) => secure.write('hello\r\n'),
      () => undefined,
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(material.remove, () => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test.each([false, true])(
  'attack: no client gets handshake after handshake on one connection',
  async (oldTls) => {
    const port = await greeter(oldTls);
    const client = spawn('openssl', ['s_client', '-tls1_2', '-connect', `127.0.0.1:${port}`]);
    cleanUp.push(() => client.kill());
    let said = '';
    for (const stream of [client.stdout, client.stderr]) {
      stream.on('data', (octets: Buffer) => {
        // R at the beginning of a line renegotiates.
        if (!said.includes('hello') && `${said}${octets}`.includes('hello')) client.stdin.write('R\n');
        said += octets;
      });
    }
    await once(client, 'close');
    expect(said).toContain('RENEGOTIATING');
    expect(said).toContain('no renegotiation');
  },
);
