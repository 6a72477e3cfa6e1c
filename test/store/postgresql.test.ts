import { execFileSync } from 'node:child_process';
import { inspect } from 'node:util';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { Secret } from '../../src/log/secret.ts';
import { openPostgresql } from '../../src/store/postgresql.ts';
import type { PostgresqlPlace } from '../../src/store/postgresql-connection.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { services } from '../support/services/services.ts';
import { stopProcess } from '../support/stop-process.ts';

const PASSWORD = 'correct horse battery';
const ACCESS = [
  'hostssl all gate 127.0.0.1/32 scram-sha-256',
  'hostnossl all open 127.0.0.1/32 scram-sha-256',
];
const things = [
  { version: 1, statements: ['CREATE TABLE thing (name text PRIMARY KEY, n bigint, data bytea)'] },
];

let server: Started<Postgresql>;
let ca: string;
let database: string;
const open: SqlStore[] = [];

beforeAll(async () => {
  await using pki = await services.pki();
  ca = pki.ca.certificate;
  const made = await pki.issueServer(['localhost']);
  server = await postgresql({ tls: { certificate: made.cert, key: made.key }, access: ACCESS });
  await server.run(`CREATE ROLE gate LOGIN SUPERUSER PASSWORD '${PASSWORD}'`);
  await server.run(`CREATE ROLE open LOGIN SUPERUSER PASSWORD '${PASSWORD}'`);
});
afterAll(async () => {
  await server.stop();
});
beforeEach(async () => {
  database = await server.database();
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
});

function place(changed: Partial<PostgresqlPlace> = {}): PostgresqlPlace {
  const { socket: host, port } = server;
  return {
    ...{ host, port, database, user: 'test', password: null, tls: null },
    ...{ connections: 4, timeoutSeconds: 30, ...changed },
  };
}

async function opened(changed: Partial<PostgresqlPlace> = {}, steps = things): Promise<SqlStore> {
  const store = await openPostgresql(place(changed), steps);
  open.push(store);
  return store;
}

const overTls = (changed: Partial<PostgresqlPlace> = {}) =>
  opened({
    ...{ host: '127.0.0.1', user: 'gate', password: new Secret(PASSWORD) },
    ...{ tls: { ca, serverName: 'localhost' }, ...changed },
  });

async function crash(): Promise<void> {
  await server.kill();
  await server.start();
}

async function failure(promise: Promise<unknown>): Promise<SealgateError> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (one: unknown) => one,
  );
  if (error instanceof SealgateError) return error;
  throw error;
}

describe('statements', () => {
  test('bind their values: text that looks like SQL stays text', async () => {
    const store = await opened();
    const name = "x'); DROP TABLE thing; --$1?";
    await store.query(sql`INSERT INTO thing (name, data) VALUES (${name}, ${Buffer.from([0, 255])})`);
    const [row] = await store.query(sql`SELECT name, data FROM thing WHERE name = ${name}`);
    expect(row?.name).toBe(name);
    expect(Buffer.from(row?.data as Uint8Array)).toEqual(Buffer.from([0, 255]));
  });

  test('give numbers as numbers', async () => {
    const store = await opened();
    await store.query(sql`INSERT INTO thing (name, n) VALUES ('a', ${1_780_000_000_000})`);
    expect(await store.query(sql`SELECT n, count(*) AS c FROM thing GROUP BY n`)).toEqual([
      { n: 1_780_000_000_000, c: 1 },
    ]);
  });

  test('of a transaction hold all or not at all', async () => {
    const store = await opened();
    await store.query(sql`INSERT INTO thing (name) VALUES ('there')`);
    const error = await failure(
      store.transaction([
        sql`INSERT INTO thing (name) VALUES ('new')`,
        sql`INSERT INTO thing (name) VALUES ('there')`,
      ]),
    );
    expect(error).toMatchObject({ code: 'store.unavailable', duration: 'temporary' });
    expect(await store.query(sql`SELECT name FROM thing`)).toEqual([{ name: 'there' }]);
  });

  test('of many at once count each, as if one came after the other', async () => {
    const stores = [await opened(), await opened()];
    await stores[0]?.query(sql`INSERT INTO thing (name, n) VALUES ('counter', 0)`);
    const one = sql`UPDATE thing SET n = (SELECT n FROM thing WHERE name = 'counter') + 1 WHERE name = 'counter'`;
    await Promise.all(Array.from({ length: 40 }, (_, i) => stores[i % 2]?.query(one)));
    expect(await stores[0]?.query(sql`SELECT n FROM thing`)).toEqual([{ n: 40 }]);
  });
});

describe('the tables', () => {
  test('are made once by gateways that start at the same time', async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => opened()));
    expect(await stores[5]?.query(sql`SELECT version FROM schema_version`)).toEqual([{ version: 1 }]);
  });

  test('of a newer version are not touched', async () => {
    await opened({}, [...things, { version: 2, statements: ['CREATE TABLE later (x text)'] }]);
    const error = await failure(opened());
    expect(error).toMatchObject({ code: 'store.unusable', duration: 'permanent' });
    expect(error.publicText).toContain('newer version (schema 2, this one knows 1)');
  });

  test('are changed once nobody reads them, and meanwhile gateways that run go on', async () => {
    const running = await opened({ timeoutSeconds: 1 });
    const backup = new Client({ host: server.socket, port: server.port, user: 'test', database });
    await backup.connect();
    await backup.query('BEGIN');
    await backup.query('LOCK TABLE thing IN ACCESS SHARE MODE');
    const steps = [...things, { version: 2, statements: ['ALTER TABLE thing ADD COLUMN later text'] }];
    const changed = opened({}, steps);
    const waiting = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted";
    await eventually(async () => expect(await server.run(waiting, database)).not.toEqual([]));
    expect(await running.query(sql`SELECT name FROM thing`)).toEqual([]);
    await backup.end();
    expect(await (await changed).query(sql`SELECT later FROM thing`)).toEqual([]);
  });

  test('of a step that fails are not there at all', async () => {
    const broken = [{ version: 1, statements: ['CREATE TABLE half (x text)', 'CREATE NONSENSE'] }];
    const store = await opened({}, broken);
    expect((await failure(store.query(sql`SELECT 1 AS one`))).code).toBe('store.unavailable');
    expect(
      await server.run("SELECT count(*)::int AS n FROM pg_tables WHERE tablename = 'half'", database),
    ).toEqual([{ n: 0 }]);
  });
});

describe('the connection', () => {
  test('is made with TLS to the server that the certificate names', async () => {
    const store = await overTls();
    expect(
      await store.query(sql`SELECT CAST(ssl AS TEXT) AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`),
    ).toEqual([{ ssl: 'true' }]);
  });

  test.each([
    ['of another name', { tls: () => ({ ca, serverName: 'db.example.org' }) }],
    ['at an address that its certificate does not name', { tls: () => ({ ca, serverName: '192.0.2.1' }) }],
    ['by an authority that nobody configured', { tls: () => ({ ca: null, serverName: 'localhost' }) }],
  ])('is not made to a server %s', async (_, { tls }) => {
    const error = await failure(overTls({ tls: tls() }));
    expect(error).toMatchObject({ code: 'store.unusable', duration: 'permanent' });
    expect(error.publicText).toContain('its certificate is not believed');
  });

  test('is not made with a wrong password, and no error says it', async () => {
    const error = await failure(overTls({ password: new Secret('wrong battery') }));
    expect(error).toMatchObject({ code: 'store.unusable', duration: 'permanent' });
    expect(error.publicText).toContain('refuses the password');
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('wrong battery');
  });

  test('takes no password from the environment', async () => {
    process.env.PGPASSWORD = PASSWORD;
    process.env.PGSSLMODE = 'disable';
    try {
      const error = await failure(overTls({ password: null }));
      expect(error.publicText).toContain('the server wants a password');
    } finally {
      delete process.env.PGPASSWORD;
      delete process.env.PGSSLMODE;
    }
  });

  test('shows the password in no process list and in no inspection', async () => {
    const store = await overTls();
    await store.query(sql`SELECT 1 AS one`);
    expect(execFileSync('ps', ['axeww'], { encoding: 'utf8', maxBuffer: 1 << 26 })).not.toContain(PASSWORD);
    expect(inspect(store, { depth: 12, showHidden: true })).not.toContain(PASSWORD);
  });

  test('that is there is used by requests of which none fails for good, whatever the server refuses', async () => {
    const store = await overTls();
    const error = await failure(store.query(sql`DO $$ BEGIN RAISE insufficient_privilege; END $$`));
    expect(error).toMatchObject({ code: 'store.unavailable', duration: 'temporary' });
    expect(error.reason).toContain('the user may not make tables in it');
  });

  test('to a database that is not there fails for good', async () => {
    const error = await failure(opened({ database: 'nowhere' }));
    expect(error).toMatchObject({ code: 'store.unusable', duration: 'permanent' });
    expect(error.publicText).toContain('there is no such database');
  });
});

describe('an outage', () => {
  test.for([
    ['by a shutdown that is told of', () => server.restart()],
    ['by a crash that nobody tells of', crash],
  ] as const)('in the midst of requests, %s, fails them, and nothing else', async ([, ends]) => {
    const store = await opened();
    let under = true;
    const asking = Array.from({ length: 4 }, async () => {
      // Some breaks find a connection between two statements.
      while (under) {
        const two = [sql`SELECT name FROM thing`, sql`SELECT count(*) FROM thing`];
        const error = await store.transaction(two).catch((one: unknown) => one);
        if (error instanceof Error) expect(error).toMatchObject({ code: 'store.unavailable' });
      }
    });
    for (let i = 0; i < 3; i++) await ends();
    under = false;
    await Promise.all(asking);
    expect(await store.query(sql`SELECT name FROM thing`)).toEqual([]);
  });

  test('is temporary, and over when the server is back', async () => {
    const store = await opened();
    await store.query(sql`INSERT INTO thing (name) VALUES ('before')`);
    await server.restart(async () => {
      const error = await failure(store.query(sql`SELECT name FROM thing`));
      expect(error).toMatchObject({ code: 'store.unavailable', duration: 'temporary' });
    });
    expect(await store.query(sql`SELECT name FROM thing`)).toEqual([{ name: 'before' }]);
    await store.query(sql`INSERT INTO thing (name) VALUES ('after')`);
    expect(await store.query(sql`SELECT name FROM thing ORDER BY name`)).toHaveLength(2);
  });

  test('at the start does not keep the gateway from starting', async () => {
    let store: SqlStore | undefined;
    await server.restart(async () => {
      store = await opened();
      expect((await failure(store.query(sql`SELECT name FROM thing`))).code).toBe('store.unavailable');
    });
    expect(await store?.query(sql`SELECT name FROM thing`)).toEqual([]);
  });

  test('of a server that takes connections and says nothing is noticed in time', async () => {
    const store = await opened({ timeoutSeconds: 1 });
    await store.query(sql`SELECT name FROM thing`);
    const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(server.pid())], { encoding: 'utf8' });
    const processes = [server.pid(), ...children.trim().split(/\s+/).map(Number)];
    for (const pid of processes) stopProcess(pid);
    try {
      const error = await failure(store.query(sql`SELECT name FROM thing`));
      expect(error).toMatchObject({ code: 'store.unavailable', duration: 'temporary' });
    } finally {
      for (const pid of processes) process.kill(pid, 'SIGCONT');
    }
    expect(await store.query(sql`SELECT name FROM thing`)).toEqual([]);
  });

  test('by a statement that takes too long ends that statement alone', async () => {
    const store = await opened({ timeoutSeconds: 1, connections: 1 });
    const slow = failure(store.query(sql`SELECT CAST(pg_sleep(30) AS TEXT) AS slept`));
    expect((await slow).code).toBe('store.unavailable');
    expect(await store.query(sql`SELECT name FROM thing`)).toEqual([]);
  });
});

test('no more connections are made than were allowed', async () => {
  const store = await opened({ connections: 3 });
  await Promise.all(Array.from({ length: 60 }, () => store.query(sql`SELECT name FROM thing`)));
  const [row] = await server.run(
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = '${database}' AND application_name = 'sealgate'`,
  );
  expect(row?.n).toBeLessThanOrEqual(3);
});

test('a store that was closed says so', async () => {
  const store = await opened();
  await store.close();
  expect((await failure(store.query(sql`SELECT 1 AS one`))).code).toBe('store.unavailable');
});
