import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AttemptParts, attempt } from '../../src/queue/attempt.ts';
import {
  countQueue,
  flush,
  flushedSince,
  hold,
  listQueue,
  release,
  removeDeliveries,
  retryNow,
} from '../../src/queue/by-hand.ts';
import { readDeliveries, readDelivery } from '../../src/queue/delivery-rows.ts';
import { DurableQueue } from '../../src/queue/durable-queue.ts';
import { claimDue, claimOne, LEASE_MS, nextDue, releaseClaims, renew } from '../../src/queue/leases.ts';
import { linesAfter, linesAt } from '../../src/queue/lines.ts';
import { OwnKey } from '../../src/queue/own-key.ts';
import { OwnMails } from '../../src/queue/own-mail.ts';
import type { Place, Router } from '../../src/queue/ports.ts';
import { SpoolFolder } from '../../src/queue/spool-folder.ts';
import { clusterTables } from '../../src/store/cluster-tables.ts';
import { groupedTransactions } from '../../src/store/grouped-transactions.ts';
import { openPostgresql } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import { openQueueStore } from '../../src/store/queue-migrations.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';
import { DAY_MS, mailbox, mailTo } from './support/queue.ts';
import { ScriptedCourier } from './support/scripted-courier.ts';

/** What the rows of the queue do, in each database that they may lie in. */

const identity = ownIdentity([newOwnKey()]);
const byDomain: Router = {
  destinationOf: ({ mailbox: { domain } }) => `domain:${domain}`,
  atOnce: () => 2,
};
const at = (destination: string): Place => ({ kind: 'smtp', destination });
const A = at('domain:a.example');
const time = { now: new Date('2026-03-01T12:00:00Z') };
const later = (ms: number) => new Date(time.now.getTime() + ms);

let server: Started<Postgresql> | null = null;
afterAll(() => server?.stop());

const databases: readonly { name: string; open(state: string): Promise<SqlStore> }[] = [
  { name: 'SQLite', open: async (state) => groupedTransactions(await openQueueStore(state)) },
  {
    name: 'PostgreSQL',
    async open() {
      server ??= await postgresql();
      const store = await openPostgresql(
        {
          ...{ host: server.socket, port: server.port, database: await server.database(), user: 'test' },
          ...{ password: null, tls: null, connections: 4, timeoutSeconds: 10 },
        },
        postgresqlMigrations,
        clusterTables(),
      );
      const { clock: _, ...rows } = store.snapshots();
      // Time is what the test says.
      return { ...rows, close: () => store.close() };
    },
  },
];

/** Of the mails here. */
const ALICE = 'alice@example.org';

describe.each(databases)('the rows of the queue in $name', ({ open }) => {
  let state = '';
  let store: SqlStore;
  let spool: SpoolFolder;
  let queue: DurableQueue;
  let courier: ScriptedCourier;
  let parts: AttemptParts;
  beforeAll(async () => {
    state = await mkdtemp(join(tmpdir(), 'sealgate-rows-'));
    store = await open(state);
    spool = await SpoolFolder.open(state, new OwnKey(identity));
    const log = { write: () => undefined };
    const own = { store, spool, clock: () => time.now, log };
    queue = new DurableQueue({ ...own, router: byDomain, work: { written: () => undefined } });
    parts = {
      ...{ ...own, queue, hostname: 'gateway.example.org', server: 'mail.example.org' },
      ownMails: new OwnMails({ ...own, identity, hostname: 'gateway.example.org', days: 5 }),
      courier: () => courier,
      insist: (statements) => store.transaction(statements),
    };
    return async () => {
      await store.close();
      await rm(state, { recursive: true });
    };
  });
  beforeEach(async () => {
    courier = new ScriptedCourier();
    await store.query(sql`DELETE FROM delivery`);
    await store.query(sql`DELETE FROM delivery_flush`);
  });

  const put = (to: readonly string[], changes: Parameters<typeof mailTo>[1] = {}) =>
    queue.enqueue([mailTo({ time }, { to, ...changes })]);
  const claim = (place: Place, holder: string, now: Date, which: 'due' | 'overdue' = 'due', room = 10) =>
    claimDue(store, place, { which: which === 'due' ? { lane: ALICE } : which, holder, room, now });
  const all = () => readDeliveries(store, [], 100);
  const waiting = async () => (await linesAfter(store, 'smtp', null)).map(({ place }) => place.destination);

  test('a mail is one delivery for each destination, of one file, which goes with the last of them', async () => {
    const before = await readdir(join(state, 'queue'));
    const ids = await put(['x@a.example', 'y@b.example', 'z@a.example']);
    expect(
      (await all()).map(({ destination, recipients }) => [destination, recipients.length]).sort(),
    ).toEqual([
      ['domain:a.example', 2],
      ['domain:b.example', 1],
    ]);
    expect(new Set((await all()).map(({ spool: name }) => name)).size).toBe(1);
    expect(await waiting()).toEqual(['domain:a.example', 'domain:b.example']);
    for (const [i, id] of ids.entries()) {
      const one = await claimOne(store, id, { holder: 'h', now: time.now });
      if (one === null) throw new Error('not claimed');
      expect((await readdir(join(state, 'queue'))).length).toBe(before.length + 1);
      await attempt(one, parts);
      expect(await readDelivery(store, id)).toBeNull();
      expect((await readdir(join(state, 'queue'))).length).toBe(before.length + (i === 0 ? 1 : 0));
    }
    expect(courier.mails.map(({ way }) => way)).toEqual([
      { kind: 'smtp', destination: 'domain:a.example' },
      { kind: 'smtp', destination: 'domain:b.example' },
    ]);
  });

  test('of those who claim at the same moment one has it', async () => {
    const ids = (
      await Promise.all(['1', '2', '3', '4', '5'].map((name) => put([`${name}@a.example`])))
    ).flat();
    const claimed = await Promise.all(['p', 'q', 'r'].map((holder) => claim(A, holder, time.now)));
    expect(
      claimed
        .flat()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...ids].sort());
    expect(await claim(A, 's', time.now)).toEqual([]);
  });

  test('so many as wanted, longest waiting first, and none whose time has not come', async () => {
    const [third] = await put(['3@a.example'], { notBefore: later(-1) });
    const [first] = await put(['1@a.example'], { notBefore: later(-3) });
    const [second] = await put(['2@a.example'], { notBefore: later(-2) });
    await put(['4@a.example'], { notBefore: later(1) });
    const ids = (claims: readonly { id: string }[]) => claims.map(({ id }) => id).sort();
    expect(ids(await claim(A, 'h', time.now, 'due', 2))).toEqual([first, second].sort());
    expect(ids(await claim(A, 'h', time.now))).toEqual([third]);
    expect(await nextDue(store, { place: A, lane: ALICE }, time.now)).toEqual(later(1));
    expect(await nextDue(store, { place: at('domain:nothing.example'), lane: ALICE }, time.now)).toBeNull();
  });

  test('a claim that is not renewed runs out, is made by another, and writes nothing any more', async () => {
    const [id = ''] = await put(['x@a.example', 'gone@a.example']);
    const [late] = await claim(A, 'late', time.now);
    const [none] = await claim(A, 'other', later(LEASE_MS - 1));
    expect(none).toBeUndefined();
    await store.transaction(renew(store, late === undefined ? [] : [late], later(LEASE_MS - 1)));
    expect(await claim(A, 'other', later(LEASE_MS))).toEqual([]);
    const [taken] = await claim(A, 'other', later(2 * LEASE_MS));
    expect(taken).toMatchObject({ id, fence: 2 });
    await store.transaction(renew(store, late === undefined ? [] : [late], later(5 * LEASE_MS)));
    expect((await readDelivery(store, id))?.lease).toMatchObject({
      holder: 'other',
      until: later(3 * LEASE_MS),
    });
    if (late === undefined) throw new Error('not claimed');
    // It has read the row while it was its own.
    courier.script = (localPart) => (localPart === 'gone' ? 'failed' : 'delivered');
    const stale = {
      ...parts,
      store: { ...store, query: store.query, transaction: asOf(store, id, late.fence) },
    };
    await attempt(late, stale);
    expect(await all()).toMatchObject([{ id, attempts: 0, recipients: [{}, {}] }]);
    expect(courier.mails).toHaveLength(1);
  });

  /** Readings of the delivery as it was before somebody else had made a claim. */
  function asOf(of: SqlStore, id: string, fence: number): SqlStore['transaction'] {
    return async (statements) => {
      const rows = await of.transaction(statements);
      return rows.map((some) =>
        some.map((row) => (row.id === id && 'spool' in row ? { ...row, fence } : row)),
      );
    };
  }

  test('each sender has a line at each place until its mail was tried, and what was tried has one', async () => {
    const from = (address: string, to: readonly string[]) =>
      put(to, { envelope: { ...mailTo({ time }, { to }).envelope, reversePath: mailbox(address) } });
    await from('carol@b.example', ['1@a.example', '2@b.example']);
    await from('alice@example.org', ['3@a.example', '4@a.example', '5@c.example']);
    await put(['6@c.example'], {
      envelope: { ...mailTo({ time }, { to: ['6@c.example'] }).envelope, reversePath: null },
    });
    const [held = ''] = await put(['7@d.example']);
    await hold(store, { ids: [held] }, time.now);
    const [tried = ''] = await put(['8@b.example']);
    const claimed = await claimOne(store, tried, { holder: 'h', now: time.now });
    if (claimed === null) throw new Error('not claimed');
    courier.script = () => 'later';
    await attempt(claimed, parts);
    const found = await linesAfter(store, 'smtp', null);
    const names = found.map(({ place, lane }) => `${place.destination.slice(7, 8)} ${lane}`);
    expect(names).toEqual([
      'a alice@example.org',
      'a carol@b.example',
      'b ',
      'b carol@b.example',
      'c <>',
      'c alice@example.org',
    ]);
    expect(found.map(({ at }) => at)).toEqual(
      names.map((name) => (name === 'b ' ? later(60_000) : time.now)),
    );
    for (const [i, line] of found.entries()) {
      expect(await linesAfter(store, 'smtp', line)).toEqual(found.slice(i + 1));
    }
    expect(await linesAt(store, at('domain:b.example'))).toEqual(found.slice(2, 4));
    expect([await linesAt(store, at('domain:d.example')), await linesAfter(store, 'append', null)]).toEqual([
      [],
      [],
    ]);
  });

  test('claims of somebody who is known to be gone are free at once', async () => {
    await put(['x@a.example']);
    await put(['y@a.example']);
    await claim(A, 'dead', time.now, 'due', 1);
    await claim(A, 'alive', time.now, 'due', 1);
    await store.query(releaseClaims('dead'));
    expect(await claim(A, 'other', time.now)).toHaveLength(1);
  });

  test('what the sender is to hear of is overdue, whatever its place says', async () => {
    await put(['x@a.example'], { notBefore: later(DAY_MS) });
    const overdue = async (ms: number) => (await claim(A, 'h', later(ms), 'overdue')).length;
    expect([await overdue(0), await overdue(4 * 3_600_000 - 1), await overdue(4 * 3_600_000)]).toEqual([
      0, 0, 1,
    ]);
  });

  test('what is held is neither tried nor given up, and has as much time left when it is released', async () => {
    const [id = ''] = await put(['x@a.example']);
    const [other = ''] = await put(['x@b.example']);
    expect(await hold(store, { ids: [id] }, time.now)).toBe(1);
    expect(await claim(A, 'h', later(9 * DAY_MS))).toEqual([]);
    expect(await claim(A, 'h', later(9 * DAY_MS), 'overdue')).toEqual([]);
    expect(await waiting()).toEqual(['domain:b.example']);
    expect((await listQueue(store, { state: 'held' }, 9, time.now)).map((one) => one.id)).toEqual([id]);
    expect(await release(store, {}, later(9 * DAY_MS))).toBe(1);
    const [released, untouched] = [await readDelivery(store, id), await readDelivery(store, other)];
    expect(released).toMatchObject({
      heldAt: null,
      nextAt: later(9 * DAY_MS),
      expiresAt: later(14 * DAY_MS),
    });
    expect(untouched).toMatchObject({ expiresAt: later(5 * DAY_MS) });
    expect(await claim(A, 'h', later(9 * DAY_MS))).toHaveLength(1);
  });

  test('deliveries are chosen by id, mail, destination, sender and state', async () => {
    const from = (address: string | null) => ({
      reversePath: address === null ? null : mailbox(address),
      mailParameters: [],
      recipients: [{ mailbox: mailbox('x@b.example'), parameters: [] }],
    });
    const [one = '', two = ''] = await put(['x@a.example', 'y@b.example']);
    const [carol = ''] = await put([], { envelope: from('carol@example.org') });
    const [none = ''] = await put([], { envelope: from(null) });
    const mail = (await readDelivery(store, one))?.mail ?? '';
    await claim(A, 'h', time.now);
    const chosen = async (which: Parameters<typeof listQueue>[1]) =>
      (await listQueue(store, which, 9, time.now)).map(({ id }) => id).sort();
    expect(await chosen({})).toEqual([one, two, carol, none].sort());
    expect(await chosen({ ids: [mail] })).toEqual([one, two].sort());
    expect(await chosen({ ids: [two, carol], destination: 'domain:b.example' })).toEqual([two, carol].sort());
    expect(await chosen({ sender: 'carol@example.org' })).toEqual([carol]);
    expect(await chosen({ sender: '' })).toEqual([none]);
    expect(await chosen({ state: 'under-way' })).toEqual([one]);
    expect(await chosen({ state: 'waiting' })).toEqual([two, carol, none].sort());
    expect(await chosen({ state: 'delayed' })).toEqual([]);
    expect(await countQueue(store, { destination: 'domain:b.example' }, time.now)).toBe(3);
  });

  test('what came while its destination was away, and was never tried, is flushed too', async () => {
    await put(['x@a.example']);
    expect(await flush(store, 'domain:a.example', later(1))).toBe(1);
    expect(await flushedSince(store, time.now)).toEqual([{ destination: 'domain:a.example', at: later(1) }]);
    expect(await retryNow(store, {}, later(2))).toBe(1);
  });

  test('what is retried or flushed is due, and gateways hear that its destination is to be called', async () => {
    courier.script = () => 'later';
    const [id = ''] = await put(['x@a.example']);
    const waiting = await put(['y@b.example'], { notBefore: later(DAY_MS) });
    const [first] = await claim(A, 'h', time.now);
    if (first !== undefined) await attempt(first, parts);
    expect((await readDelivery(store, id))?.nextAt).toEqual(later(60_000));
    expect(await retryNow(store, {}, later(5))).toBe(1);
    expect((await readDelivery(store, id))?.nextAt).toEqual(later(5));
    expect((await readDelivery(store, waiting[0] ?? ''))?.nextAt).toEqual(later(DAY_MS));
    expect(await flushedSince(store, time.now)).toEqual([{ destination: 'domain:a.example', at: later(5) }]);
    expect(await flush(store, 'domain:a.example', later(9))).toBe(1);
    expect(await flushedSince(store, later(5))).toEqual([{ destination: 'domain:a.example', at: later(9) }]);
    expect(await retryNow(store, { ids: waiting }, later(9))).toBe(1);
  });

  test('many are removed in batches, each with its file, and what is chosen no longer is left', async () => {
    const before = (await readdir(join(state, 'queue'))).length;
    await Promise.all(Array.from({ length: 520 }, () => put(['x@a.example'])));
    const [kept = ''] = await put(['x@b.example']);
    const done: number[] = [];
    const removed = await removeDeliveries(
      store,
      (name) => spool.remove(name),
      { destination: 'domain:a.example' },
      (count) => done.push(count),
    );
    expect([removed, done]).toEqual([520, [500]]);
    expect((await all()).map(({ id }) => id)).toEqual([kept]);
    expect((await readdir(join(state, 'queue'))).length).toBe(before + 1);
  });
});
