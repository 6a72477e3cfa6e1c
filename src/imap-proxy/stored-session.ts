import type { Wire } from './wire.ts';

/**
 * A session that shows mail as it is stored: after login client and upstream talk with each other, octet for octet, whatever
 * they agree upon. No key is used, nothing is looked at.
 *
 * Resolves when one of them has closed; then both are. Returns why it ended, for the log.
 */
export async function runStoredSession(client: Wire, upstream: Wire): Promise<string> {
  const [near, far] = [client.handOver(), upstream.handOver()];
  return await new Promise((resolve) => {
    const end = (cause: string) => (): void => {
      near.destroy();
      far.destroy();
      resolve(cause);
    };
    near.once('error', end('client: lost')).once('close', end('client: closed'));
    far.once('error', end('mail server: lost')).once('close', end('mail server: closed'));
    near.pipe(far);
    far.pipe(near);
  });
}
