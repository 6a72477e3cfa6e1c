import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { agree } from '../../src/cluster/agreement.ts';
import { installationFromSecret } from '../../src/cluster/installation-from-secret.ts';
import { listNodes, Nodes } from '../../src/cluster/nodes.ts';
import { SealedRows } from '../../src/cluster/sealed-rows.ts';
import { limits } from '../../src/limits.ts';
import type { Event } from '../../src/log/events.ts';
import { Secret } from '../../src/log/secret.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import { fromTheFuture } from '../../src/queue/delivery-rows.ts';
import { DurableQueue } from '../../src/queue/durable-queue.ts';
import { claimDue, claimsFromTheFuture, renew } from '../../src/queue/leases.ts';
import { clusterTables } from '../../src/store/cluster-tables.ts';
import { openPostgresql, type PostgresqlStore } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import { sql } from '../../src/store/sql-store.ts';
import { mailTo } from '../queue/support/queue.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';

let server: Started<Postgresql>;
let store: PostgresqlStore;
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());
beforeEach(async () => {
  store = await openPostgresql(
    {
      ...{ host: server.socket, port: server.port, database: await server.database(), user: 'test' },
      ...{ password: null, tls: null, connections: 4, timeoutSeconds: 10 },
    },
    postgresqlMigrations,
    clusterTables(),
  );
});
afterEach(() => store.close());

const key = {
  seal: async (octets: Buffer) => Buffer.from(octets.map((octet) => octet ^ 0xff)),
  open: async (octets: Buffer) => Buffer.from(octets.map((octet) => octet ^ 0xff)),
};

function node(name: string): { nodes: Nodes; events: Event[] } {
  const events: Event[] = [];
  const log = { write: (event: Event) => void events.push(event) };
  return { nodes: new Nodes({ store, name, log }), events };
}

describe('who is there', () => {
  test('is listed while it runs, and not after it has taken its leave', async () => {
    const [one, two] = [node('one'), node('two')];
    await one.nodes.join();
    await two.nodes.join();
    expect(two.events).toEqual([{ event: 'cluster.joined', level: 'info', name: 'two', nodes: 2 }]);
    expect(await listNodes(store)).toMatchObject([
      { name: 'one', state: 'here', redis: 'unused', underWay: 0 },
      { name: 'two', state: 'here' },
    ]);
    await one.nodes.close();
    expect((await listNodes(store)).map(({ name }) => name)).toEqual(['two']);
    await two.nodes.close();
  });

  test('and was not heard of is silent; one that takes its place under its name is there at once', async () => {
    const one = node('one');
    await one.nodes.join();
    await store.query(sql`UPDATE cluster_node SET seen_at = seen_at - 60000`);
    expect(await listNodes(store)).toMatchObject([{ name: 'one', state: 'silent' }]);
    const two = node('two');
    await two.nodes.join();
    expect(two.events).toContainEqual({ event: 'cluster.node-gone', level: 'warn', node: 'one' });
    const again = node('one');
    await again.nodes.join();
    expect(await listNodes(store)).toMatchObject([{ name: 'one', state: 'here' }, { name: 'two' }]);
    // What is left of the former one does not take its leave for it.
    await one.nodes.close();
    expect(await listNodes(store)).toHaveLength(2);
    await again.nodes.close();
    await two.nodes.close();
  });

  test('is told of a node that seals to a key which it does not have', async () => {
    const [one, two] = [node('one'), node('two')];
    await one.nodes.join();
    await two.nodes.join();
    await one.nodes.tellOfQueue({ keys: () => ['new', 'old'], redis: () => 'here' });
    await two.nodes.tellOfQueue({ keys: () => ['old'], redis: () => 'here' });
    await one.nodes.tellOfQueue({ keys: () => ['new', 'old'], redis: () => 'here' });
    expect(two.events).toContainEqual({ event: 'cluster.key-missing', level: 'error', node: 'one' });
    expect(one.events).not.toContainEqual(expect.objectContaining({ event: 'cluster.key-missing' }));
    await one.nodes.close();
    await two.nodes.close();
  });
});

describe('which clock counts', () => {
  const HOUR = 3_600_000;
  const there = async () => {
    const [row] = await store.query(
      sql`SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now`,
    );
    return Number(row?.now);
  };

  test.each([-HOUR, HOUR])('that of the database, when a node’s own is set by %i ms', async (by) => {
    const { nodes, events } = node('one');
    await nodes.join();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + by });
    try {
      const off = nodes.now().getTime() - (await there());
      expect(Math.abs(off)).toBeLessThan(HOUR / 2);
      await nodes.tellOfQueue({ keys: () => [], redis: () => 'here' });
      expect(events).toContainEqual({ event: 'cluster.clock', level: 'warn', seconds: expect.any(Number) });
    } finally {
      vi.useRealTimers();
      await nodes.close();
    }
  });

  test('and without it nobody joins', async () => {
    await store.close();
    const { nodes } = node('one');
    await expect(nodes.join()).rejects.toMatchObject({ code: 'store.unavailable', duration: 'temporary' });
  });

  test('that of the database for claims: a node whose clock is wrong takes none from others', async () => {
    const rows = store.snapshots();
    const queue = new DurableQueue({
      ...{ store: rows, spool: new SealedRows(rows, key), router: null, clock: () => new Date() },
      ...{ work: { written: () => undefined }, log: { write: () => undefined } },
    });
    await queue.enqueue([mailTo({ time: { now: new Date() } })]);
    const claimAt = (holder: string, now: Date) =>
      claimDue(
        rows,
        { kind: 'smtp', destination: 'server' },
        { which: { lane: 'alice@example.org' }, holder, room: 1, now },
      );
    const [late, early] = [new Date(Date.now() + HOUR), new Date(Date.now() - HOUR)];
    const [claim] = await claimAt('one', new Date());
    if (claim === undefined) throw new Error('it is due');
    expect(await claimAt('ahead', late)).toEqual([]);
    await rows.transaction([
      fromTheFuture(rows, early),
      claimsFromTheFuture(rows, early),
      ...renew(rows, [claim], early),
    ]);
    expect(await claimAt('other', new Date())).toEqual([]);
    const [row] = await rows.query(sql`SELECT enqueued_at, lease_until FROM delivery`);
    expect(Number(row?.enqueued_at)).toBeGreaterThan(early.getTime() + HOUR / 2);
    await rows.query(sql`UPDATE delivery SET lease_until = ${(await there()) - 1}`);
    expect(await claimAt('other', new Date())).toHaveLength(1);
  });
});

describe('what nodes must have alike', () => {
  const secret = (text: string) => installationFromSecret(new Secret(text.repeat(32)));

  test('is derived from the secret: the same for the same, and nothing of it is the secret', () => {
    const one = secret('a');
    expect(one).toEqual(secret('a'));
    expect(one.id).toMatch(/^[a-z0-9]{12}$/);
    expect(one.viewSecret).toHaveLength(32);
    expect(one.proof).not.toContain(one.viewSecret.toString('hex'));
    expect(secret('b').viewSecret.equals(one.viewSecret)).toBe(false);
  });

  test('keeps a node out that has another secret, or another name', async () => {
    const [{ proof }, other] = [secret('a'), secret('b')];
    await agree(store, { proof, hostname: 'gw.example.org' });
    await agree(store, { proof, hostname: 'gw.example.org' });
    await expect(agree(store, { proof: other.proof, hostname: 'gw.example.org' })).rejects.toMatchObject({
      code: 'cluster.differs',
      publicText: expect.stringContaining('give this one the same file'),
    });
    await expect(agree(store, { proof, hostname: 'other.example.org' })).rejects.toMatchObject({
      publicText: expect.stringContaining('"gw.example.org" on the other nodes'),
    });
  });
});

describe('what is sealed in the database', () => {
  const CHUNK = 64 * 1024;
  const PIECE = limits.cluster.pieceChunks * CHUNK;

  test.each([0, 1, CHUNK, 256 * 1024, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 5])(
    'comes back as it was, from another node: %i octets',
    async (length) => {
      const spool = new SealedRows(store.snapshots(), key);
      const octets = Buffer.alloc(length, 'abcdefg');
      const name = await spool.write(octets);
      const back = await new SealedRows(store, key).read(name);
      expect(back.length).toBe(length);
      expect((await collectFrom(back)).equals(octets)).toBe(true);
      const [from, to] = [Math.floor(length / 3), Math.floor(length / 2)];
      expect((await collectFrom(back, from, to)).equals(octets.subarray(from, to))).toBe(true);
      await spool.remove(name);
      await expect(spool.read(name)).rejects.toMatchObject({ code: 'queue.damaged' });
    },
  );

  test('is damaged where a piece is missing, shorter, or stands in another one’s place', async () => {
    const spool = new SealedRows(store, key);
    const long = () => spool.write(Buffer.alloc(3 * PIECE));
    const damaged = (name: string) =>
      expect(spool.read(name)).rejects.toMatchObject({ code: 'queue.damaged' });
    const [one, two, three, four] = [await long(), await long(), await long(), await long()];
    await store.query(sql`DELETE FROM spool_piece WHERE spool_file = ${one} AND number = 3`);
    await damaged(one);
    await store.query(
      sql`UPDATE spool_piece SET sealed = substring(sealed FROM 1 FOR 70000) WHERE spool_file = ${two} AND number = 2`,
    );
    await damaged(two);
    await store.transaction([
      sql`UPDATE spool_piece SET number = 20 WHERE spool_file = ${three} AND number = 1`,
      sql`UPDATE spool_piece SET number = 1 WHERE spool_file = ${three} AND number = 2`,
      sql`UPDATE spool_piece SET number = 2 WHERE spool_file = ${three} AND number = 20`,
    ]);
    await damaged(three);
    await store.query(sql`DELETE FROM spool_piece WHERE spool_file = ${one}`);
    await store.query(sql`UPDATE spool_piece SET spool_file = ${one} WHERE spool_file = ${four}`);
    await damaged(one);
  });

  test('has no room, and says so, where the database’s disk is full', async () => {
    await store.transaction(
      [
        `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$`,
        'CREATE TRIGGER full_disk BEFORE INSERT ON spool_piece FOR EACH ROW EXECUTE FUNCTION full_disk()',
      ].map((text) => ({ sql: text, parameters: [] })),
    );
    const spool = new SealedRows(store.snapshots(), key);
    await expect(spool.write(Buffer.from('text'))).rejects.toMatchObject({ code: 'queue.full' });
  });

  test('goes a day later where no row names it, whatever table that would be in', async () => {
    const spool = new SealedRows(store, key);
    const [kept, gone, fresh] = [
      await spool.write(Buffer.from('kept')),
      await spool.write(Buffer.from('gone')),
      await spool.write(Buffer.from('fresh')),
    ];
    await store.query(
      sql`UPDATE spool_piece SET written_at = written_at - 90000000 WHERE spool_file <> ${fresh}`,
    );
    await store.query(
      sql`INSERT INTO held (spool, mail, from_address, from_folded, login, listener, subject, reverse_path, parameters, terms,
            readable, held_at, expires_at)
          VALUES (${kept}, 'm', 'a', 'a', 'a', 'l', NULL, NULL, '[]', '{}', 0, 0, 0)`,
    );
    expect(await spool.sweep()).toBe(1);
    expect((await collectFrom(await spool.read(kept))).toString()).toBe('kept');
    expect((await collectFrom(await spool.read(fresh))).toString()).toBe('fresh');
    await expect(spool.read(gone)).rejects.toMatchObject({ code: 'queue.damaged' });
  });
});
