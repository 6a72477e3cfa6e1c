import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { SealgateError } from '../errors.ts';

// Below the range from which systems take the source ports of outgoing connections (32768 upwards on Linux, 49152 by
// RFC 6335 §6), so that a port found free is not taken by somebody's outgoing connection a moment later.
const LOWEST = 15_000;
const HIGHEST = 32_000;
const ATTEMPTS = 200;

/**
 * Finds a TCP port on which nothing listens on 127.0.0.1. It is not given again as long as this process lives, here or in another
 * process that asks in this way: the server that it is for may not listen yet. Programs of others may still take it.
 *
 * @param highest itself not among them
 * @throws SealgateError `evaluation.no-free-port`
 */
export async function freePort(lowest = LOWEST, highest = HIGHEST): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(lowest, highest);
    if ((await reserve(port)) && (await canListen(port))) return port;
  }
  throw new SealgateError({
    code: 'evaluation.no-free-port',
    publicText: `No free TCP port was found on 127.0.0.1 between ${lowest} and ${highest}: close programs that listen there.`,
    duration: 'temporary',
  });
}

/** An abstract Unix socket, which goes with its process, says whose the port is. false: somebody else's. */
async function reserve(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return true;
  const holder = createServer().unref();
  holder.listen(`\0sealgate-port-${port}`);
  try {
    await once(holder, 'listening');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  server.listen({ host: '127.0.0.1', port, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE' || code === 'EACCES') return false;
    throw error;
  }
  server.close();
  await once(server, 'close');
  return true;
}

/** `wanted` if nothing listens there, otherwise another free port. */
export async function portOr(wanted: number): Promise<number> {
  return (await canListen(wanted)) ? wanted : freePort();
}
