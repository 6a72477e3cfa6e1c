import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { RedisOptions } from 'ioredis';
import type { Secret } from '../log/secret.ts';

/** Where the Redis of a cluster is, and as whom it is asked. */
export type RedisPlace = {
  host: string;
  port: number;
  /** null: without TLS. `ca`: PEM; null: the authorities Node knows. `serverName`: the name in the certificate; null: `host`. */
  tls: { ca: string | null; serverName: string | null } | null;
  user: string | null;
  password: Secret | null;
  db: number;
  /** What all names there begin with. */
  prefix: string;
};

/** How long connecting may take, and an answer. Milliseconds. */
export const ANSWER_MS = 5_000;

/**
 * As the driver wants it. A connection that breaks is made again for as long as the process runs, a second at most after the last try.
 *
 * @param use `ask`: fails at once where there is no connection, so that nothing waits for a server that is away; `wait`: for commands that
 * block until there is something
 * @param answerMs how long connecting may take, and an answer
 */
export function redisOptions(
  place: RedisPlace,
  use: 'ask' | 'wait',
  answerMs = ANSWER_MS,
): Omit<RedisOptions, 'replyMapping'> {
  const { host, port, tls, user, password, db } = place;
  const named = tls?.serverName ?? host;
  return {
    ...{ host, port, db },
    ...(user === null ? {} : { username: user }),
    ...(password === null ? {} : { password: password.reveal() }),
    ...(tls === null
      ? {}
      : {
          tls: {
            // An address is no name to ask a server for; that its certificate has it is looked at all the same.
            ...(isIP(named) === 0 ? { servername: named } : {}),
            checkServerIdentity: (_, certificate) => checkServerIdentity(named, certificate),
            minVersion: 'TLSv1.2' as const,
            rejectUnauthorized: true,
            ...(tls.ca === null ? {} : { ca: tls.ca }),
          },
        }),
    connectionName: 'sealgate',
    connectTimeout: answerMs,
    keepAlive: 30_000,
    lazyConnect: true,
    retryStrategy: (times) => Math.min(1_000, 50 * times) * (0.5 + Math.random() / 2),
    ...(use === 'ask'
      ? { enableOfflineQueue: false, commandTimeout: answerMs, maxRetriesPerRequest: 0 }
      : {
          maxRetriesPerRequest: null,
          // It is a replica now: the one in its place is behind the same name.
          reconnectOnError: ({ message }) => /^(READONLY|UNBLOCKED)/.test(message),
        }),
  };
}
