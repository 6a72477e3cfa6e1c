import type { Wire } from './wire.ts';

/**
 * Waits for what the client has to say before its login. A mail server that goes meanwhile is nobody to log in to: the client hears
 * that at once, and its connection ends.
 */
export async function whileServerStays<T>(client: Wire, server: Wire, wait: () => Promise<T>): Promise<T> {
  const gone = (): void => {
    client.write('* BYE [UNAVAILABLE] Connection to the mail server was closed.\r\n');
    client.end();
  };
  if (server.ended) gone();
  else server.signal.addEventListener('abort', gone);
  try {
    return await wait();
  } finally {
    server.signal.removeEventListener('abort', gone);
  }
}
