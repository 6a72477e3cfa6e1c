import { connect } from 'node:net';

const PAUSE_MS = 15;

/**
 * Connects to a TCP port of 127.0.0.1 until the server there greets, and returns its first line without CRLF.
 *
 * @param stillRunning asked between attempts; false ends the waiting.
 * @returns null when `stillRunning` said no or the time is over.
 */
export async function awaitGreeting(
  port: number,
  stillRunning: () => boolean,
  timeoutMs: number,
): Promise<string | null> {
  const deadline = Date.now() + timeoutMs;
  while (stillRunning() && Date.now() < deadline) {
    const line = await firstLine(port, Math.max(1, deadline - Date.now()));
    if (line !== null) return line;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return null;
}

function firstLine(port: number, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    let seen = '';
    const finish = (line: string | null): void => {
      socket.destroy();
      resolve(line);
    };
    socket.setTimeout(timeoutMs, () => finish(null));
    socket.on('error', () => finish(null));
    socket.on('close', () => finish(null));
    socket.on('data', (octets) => {
      seen += octets.toString('latin1');
      const end = seen.indexOf('\r\n');
      if (end >= 0) finish(seen.slice(0, end));
    });
  });
}
