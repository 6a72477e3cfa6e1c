import { checkServerIdentity } from 'node:tls';
import { type ClientConfig, Pool, types } from 'pg';
import type { Secret } from '../log/secret.ts';

/** Where the database is and as whom it is asked. */
export type PostgresqlPlace = {
  /** A name, an address, or the folder of a Unix socket (an absolute path). */
  host: string;
  port: number;
  database: string;
  user: string;
  /** null: the server asks for none (peer authentication on a Unix socket). */
  password: Secret | null;
  /** null: without TLS. `ca`: PEM; null: the authorities Node knows. `serverName`: the name in the certificate; null: `host`. */
  tls: { ca: string | null; serverName: string | null } | null;
  /** Connections at most. */
  connections: number;
  /** Of connecting, and of each statement. */
  timeoutSeconds: number;
};

/** As many connections at most, made when they are needed, and made anew when they break. */
export function pool(place: PostgresqlPlace, connections: number): Pool {
  const milliseconds = place.timeoutSeconds * 1_000;
  const made = new Pool({
    ...connection(place),
    max: connections,
    connectionTimeoutMillis: milliseconds,
    // The server ends a statement first, so that the connection can be used again.
    statement_timeout: milliseconds,
    query_timeout: milliseconds + 1_000,
    // A gateway that is cut off in the midst of a transaction keeps its rows from the others for so long, and not until TCP gives up.
    idle_in_transaction_session_timeout: milliseconds,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
  });
  // A connection that broke while nobody used it is replaced by the next request.
  made.on('error', () => undefined);
  // One that breaks in the hands of a request fails that request; without a listener of its own it would end the process as well.
  made.on('connect', (client) => client.on('error', () => undefined));
  return made;
}

const INT8 = 20;

/** Every setting is said, so that none comes from the environment (PGPASSWORD) or from a file (.pgpass). */
export function connection({ host, port, database, user, password, tls }: PostgresqlPlace): ClientConfig {
  return {
    ...{ host, port, database, user },
    // A function: a password that is absent would be looked for elsewhere.
    password: () => password?.reveal() ?? '',
    ssl:
      tls === null
        ? false
        : {
            ...(tls.ca === null ? {} : { ca: tls.ca }),
            minVersion: 'TLSv1.2',
            rejectUnauthorized: true,
            checkServerIdentity: (_, certificate) => checkServerIdentity(tls.serverName ?? host, certificate),
          },
    application_name: 'sealgate',
    client_encoding: 'UTF8',
    types: {
      // Numbers of rows, ids and times, all of them far below 2^53.
      getTypeParser: (oid, format) => (oid === INT8 ? Number : types.getTypeParser(oid, format)),
    },
  };
}
