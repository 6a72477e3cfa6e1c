import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { DnsResolver } from '../../src/dns/resolver.ts';

/** A resolver that says what a test wants, where a real one would not. */
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

type Says = (socket: Socket, asked: Buffer) => void;
async function resolverThat(says: Says, timeoutMs = 5_000): Promise<DnsResolver> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (piece: Buffer) => says(socket, piece.subarray(2)));
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return new DnsResolver([{ name: 'it', host: '127.0.0.1', port }], timeoutMs);
}

const ask = (resolver: DnsResolver) =>
  resolver.ask({ name: 'a.example', type: 53 }, new AbortController().signal).then(
    ({ records }) => records.length,
    ({ code, reason }: { code: string; reason: string }) => `${code} ${reason}`,
  );

/** No record; with the id and the question of what was asked. */
function nothing(asked: Buffer, id = asked.readUInt16BE(0)): Buffer {
  const message = Buffer.from(asked);
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(0x8180, 2);
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]);
}

test('an answer may come octet by octet', async () => {
  const resolver = await resolverThat(async (socket, asked) => {
    for (const octet of nothing(asked)) {
      await new Promise<void>((resolve) => socket.write(Buffer.from([octet]), () => resolve()));
    }
  });
  expect(await ask(resolver)).toBe(0);
});

test.each<[string, Says, RegExp]>([
  [
    'to another question',
    (socket, asked) => void socket.write(nothing(asked, asked.readUInt16BE(0) ^ 1)),
    /dns\.unreachable .*another question/,
  ],
  [
    'that ends early',
    (socket, asked) => void socket.end(nothing(asked).subarray(0, -1)),
    /dns\.unreachable .*closed/,
  ],
  ['that is no message', (socket) => void socket.write(Buffer.alloc(2)), /too short/],
  ['that never comes', (socket) => void socket.end(), /dns\.unreachable .*closed/],
])('one %s is none', async (_, says, reason) => {
  expect(await ask(await resolverThat(says))).toMatch(reason);
});

test('what is half said is not waited for beyond its time', async () => {
  const resolver = await resolverThat((socket) => void socket.write(Buffer.from([0xff])), 200);
  expect(await ask(resolver)).toMatch(/dns\.unreachable .*no answer in time/);
});
