import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { SealedRows } from '../../src/cluster/sealed-rows.ts';
import { heldWitness } from '../../src/holding/held-rows.ts';
import type { Event } from '../../src/log/events.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import { readDeliveries } from '../../src/queue/delivery-rows.ts';
import { DurableQueue } from '../../src/queue/durable-queue.ts';
import { clusterTables } from '../../src/store/cluster-tables.ts';
import { fateAfter } from '../../src/store/in-doubt.ts';
import { openPostgresql, type PostgresqlStore } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import { InDoubt, sql } from '../../src/store/sql-store.ts';
import { startWire, type Wire } from '../store/support/wire.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { mailTo } from './support/queue.ts';

/** The database was told to commit a mail, and nobody heard its answer. */

let server: Started<Postgresql>;
let wire: Wire;
let far: PostgresqlStore;
let near: PostgresqlStore;
const events: Event[] = [];

beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());
beforeEach(async () => {
  events.length = 0;
  wire = await startWire(server.socket, server.port);
  const database = await server.database();
  const open = (host: string, port: number, timeoutSeconds: number) =>
    openPostgresql(
      {
        ...{ host, port, database, user: 'test', password: null, tls: null },
        ...{ connections: 2, timeoutSeconds },
      },
      postgresqlMigrations,
      clusterTables(),
    );
  near = await open(server.socket, server.port, 30);
  // What is silenced is waited for.
  far = await open('127.0.0.1', wire.port, 1);
});
afterEach(async () => {
  await wire.stop();
  await Promise.all([near.close(), far.close()]);
});

const time = { now: new Date() };
const key = { seal: async (octets: Buffer) => octets, open: async (octets: Buffer) => octets };

function queue(): DurableQueue {
  const store = far.snapshots();
  return new DurableQueue({
    ...{ store, spool: new SealedRows(store, key), router: null, clock: () => time.now },
    ...{ work: { written: () => undefined }, log: { write: (event) => void events.push(event) } },
  });
}

/** What is there, with octets that can be read. */
async function kept(): Promise<number> {
  const deliveries = await readDeliveries(near, [], 10);
  const spool = new SealedRows(near, key);
  for (const { spool: name } of deliveries) await collectFrom(await spool.read(name));
  const [pieces] = await near.query(sql`SELECT count(DISTINCT spool_file) AS n FROM spool_piece`);
  expect(Number(pieces?.n)).toBe(deliveries.length);
  return deliveries.length;
}

const ROWS = 'INSERT INTO delivery (';

test('it was written: the mail is accepted, and its client sends it no second time', async () => {
  wire.loseAnswerTo([ROWS, 'COMMIT'], () => wire.cut());
  const accepted = queue().enqueue([mailTo({ time })]);
  // It is asked for as long as the database is away.
  await expect.poll(() => wire.refused).toBeGreaterThan(1);
  wire.mend();
  await accepted;
  expect(await kept()).toBe(1);
  expect(events.map(({ event }) => event)).toEqual(['queue.enqueued']);
});

test('it never arrived: the mail is refused for now, and nothing of it is kept', async () => {
  wire.silence(ROWS, 'COMMIT');
  await expect(queue().enqueue([mailTo({ time })])).rejects.toMatchObject({ code: 'store.unavailable' });
  expect(await kept()).toBe(0);
});

test('it was not told to: the mail is refused at once, and nothing of it is kept', async () => {
  wire.loseAnswerTo([ROWS]);
  await expect(queue().enqueue([mailTo({ time })])).rejects.toMatchObject({ code: 'store.unavailable' });
  expect(await kept()).toBe(0);
});

test('what was to wait is asked about in the same way, and nothing of the question stays', async () => {
  const fate = () => fateAfter(new InDoubt('lost', null), near.snapshots(), heldWitness('part'));
  expect(await fate()).toBe('absent');
  expect(await near.query(sql`SELECT spool FROM held`)).toEqual([]);
  await near.query(
    sql`INSERT INTO held (spool, mail, from_address, from_folded, login, listener, parameters, terms, readable, held_at, expires_at)
        VALUES ('part', 'm', 'a', 'a', 'a', 'l', '[]', '{}', 0, 0, 0)`,
  );
  expect(await fate()).toBe('written');
  expect(await near.query(sql`SELECT mail FROM held`)).toEqual([{ mail: 'm' }]);
});
