import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Wire } from '../../../src/imap-proxy/wire.ts';

const open: { destroy(): unknown }[] = [];

/** Both ends of a connection; `wire` is at `socket`. */
export async function socketPair(
  stalledMs?: number,
  lingerMs?: number,
): Promise<{ wire: Wire; peer: Socket; socket: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const peer = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  open.push(peer, socket);
  return { wire: new Wire(socket, 'client', 65_536, { stalledMs, lingerMs }), peer, socket };
}

export function closeSocketPairs(): void {
  for (const each of open.splice(0)) each.destroy();
}
