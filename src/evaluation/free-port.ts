import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { SealgateError } from '../errors.ts';

// Below the range from which systems take the source ports of outgoing connections (32768 upwards on Linux, 49152 by
// RFC 6335 §6), so that a port found free is not taken by somebody's outgoing connection a moment later.
const LOWEST = 15_000;
const HIGHEST = 32_000;
const ATTEMPTS = 200;

/** Never given twice by one process: the server that asked first may not listen yet. */
const given = new Set<number>();

/**
 * Finds a TCP port on which nothing listens on 127.0.0.1.
 *
 * The port is not reserved against other processes: whoever starts a server on it must notice when the server could
 * not listen, and ask again.
 *
 * @throws SealgateError `evaluation.no-free-port`
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (given.has(port)) continue;
    if (await canListen(port)) {
      given.add(port);
      return port;
    }
  }
  throw new SealgateError({
    code: 'evaluation.no-free-port',
    publicText: `No free TCP port was found on 127.0.0.1 between ${LOWEST} and ${HIGHEST}: close programs that listen there.`,
    duration: 'temporary',
  });
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
