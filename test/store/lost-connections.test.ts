import { afterAll, beforeAll, expect, type TestContext, test } from 'vitest';
import { openPostgresql, type PostgresqlStore } from '../../src/store/postgresql.ts';
import { InDoubt, sql } from '../../src/store/sql-store.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { startWire, type Wire } from './support/wire.ts';

const things = [{ version: 1, statements: ['CREATE TABLE thing (name text PRIMARY KEY, n bigint)'] }];

let server: Started<Postgresql>;
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());

type Opened = (way: 'wire' | 'direct', connections?: number) => Promise<PostgresqlStore>;

/** A wire and an empty database of the test's own, so that tests wait side by side. */
async function begin({ onTestFinished }: TestContext): Promise<{ wire: Wire; opened: Opened }> {
  const wire = await startWire(server.socket, server.port);
  const database = await server.database();
  const open: PostgresqlStore[] = [];
  onTestFinished(async () => {
    await wire.stop();
    for (const store of open) await store.close();
  });
  const near = { host: server.socket, port: server.port };
  return {
    wire,
    async opened(way, connections = 1) {
      const place = way === 'wire' ? { host: '127.0.0.1', port: wire.port } : near;
      const store = await openPostgresql(
        { ...place, database, user: 'test', password: null, tls: null, connections, timeoutSeconds: 1 },
        things,
      );
      open.push(store);
      return store;
    },
  };
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

test.concurrent('a gateway that vanishes in the midst of a transaction keeps its rows from nobody for long', async (context) => {
  const { wire, opened } = await begin(context);
  const [gone, other] = [await opened('wire'), await opened('direct')];
  await gone.query(sql`INSERT INTO thing (name, n) VALUES ('a', 1)`);
  wire.silence('COMMIT');
  const change = sql`UPDATE thing SET n = n + 1 WHERE name = 'a'`;
  const lost = failure(gone.snapshots().query(change));
  expect(await lost).toBeInstanceOf(InDoubt);
  // TCP would have it wait for hours; what waits for a row longer than a request may take fails for now.
  await eventually(() => other.snapshots().query(change));
  expect(await other.query(sql`SELECT n FROM thing`)).toEqual([{ n: 2 }]);
});

test.concurrent('one silent connection is waited for, and not all of them one after the other', async (context) => {
  const { wire, opened } = await begin(context);
  const [reads, writes] = [await opened('wire', 4), await opened('wire', 4)];
  const slow = sql`SELECT CAST(pg_sleep(0.05) AS text) AS slept`;
  for (const store of [reads, writes]) await Promise.all([1, 2, 3, 4].map(() => store.query(slow)));
  wire.silence();
  const asked = [reads.query(sql`SELECT n FROM thing`), writes.query(sql`DELETE FROM thing`)].map(failure);
  for (const error of await Promise.all(asked)) {
    expect(error).toMatchObject({ code: 'store.unavailable', duration: 'temporary' });
  }
  expect(wire.spoken).toBe(2);
});

test.concurrent('what is urgent waits for nobody who keeps all connections', async (context) => {
  const { opened } = await begin(context);
  const rows = (await opened('direct')).snapshots();
  const slow = failure(rows.query(sql`SELECT CAST(pg_sleep(30) AS text) AS slept`));
  expect(await rows.urgent?.query(sql`INSERT INTO thing (name) VALUES ('a') RETURNING name`)).toEqual([
    { name: 'a' },
  ]);
  expect(await slow).toMatchObject({ code: 'store.unavailable' });
});

test.concurrent('a commit without an answer is told from what was not written', async (context) => {
  const { wire, opened } = await begin(context);
  const [store, other] = [await opened('wire'), await opened('direct')];
  wire.loseAnswerTo(['COMMIT']);
  expect(await failure(store.query(sql`INSERT INTO thing (name) VALUES ('a')`))).toBeInstanceOf(InDoubt);
  expect(await other.query(sql`SELECT name FROM thing`)).toEqual([{ name: 'a' }]);
  wire.loseAnswerTo(['INSERT']);
  const failed = await failure(store.query(sql`INSERT INTO thing (name) VALUES ('b')`));
  expect(failed).toMatchObject({ code: 'store.unavailable' });
  expect(failed).not.toBeInstanceOf(InDoubt);
  expect(await other.query(sql`SELECT name FROM thing`)).toEqual([{ name: 'a' }]);
});

test.concurrent('a server that only reads is left: the one in its place is asked next', async (context) => {
  const { opened } = await begin(context);
  const store = await opened('direct');
  await store.query(sql`SET default_transaction_read_only = on`);
  const insert = sql`INSERT INTO thing (name) VALUES ('a')`;
  expect(await failure(store.query(insert))).toMatchObject({
    code: 'store.unavailable',
    duration: 'temporary',
  });
  expect(await failure(store.query(insert))).toBeNull();
});
