import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Opened } from '../../src/gateway/opening.ts';
import { openTrail } from '../../src/gateway/trail.ts';
import type { MailId, SessionId } from '../../src/ids.ts';
import { limits } from '../../src/limits.ts';
import type { Event } from '../../src/log/events.ts';
import { toldRecipients } from '../../src/smtp/told-recipients.ts';
import { clusterTables } from '../../src/store/cluster-tables.ts';
import { openPostgresql } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import { type SqlStore, storeUnavailable } from '../../src/store/sql-store.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { TRAIL, trailMigrations } from '../../src/store/trail-migrations.ts';
import { Forgetting, keptSince } from '../../src/trail/forgetting.ts';
import { findMails, stepsOf } from '../../src/trail/read-trail.ts';
import { tellStep } from '../../src/trail/tell-step.ts';
import { type MailEvent, Trail } from '../../src/trail/trail.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';

const mail = (id: string) => id as MailId;
const DAY_MS = 86_400_000;
const EVER = new Date(0);

const taken = (id: string, from: string, to: string, principal = 'Alice'): MailEvent => ({
  ...{
    event: 'mail.taken',
    level: 'debug',
    mail: mail(id),
    session: 's' as SessionId,
    listener: 'submission',
  },
  ...{ principal, from, to, recipients: 1, octets: 10 },
});
const refused = (id: string, reason: string): MailEvent => ({
  ...{ event: 'mail.refused', level: 'warn', mail: mail(id), code: 'policy.refused', reason },
});

let server: Started<Postgresql>;
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());

const STORES = {
  SQLite: (folder: string) => openSqlite(join(folder, TRAIL), trailMigrations, 'takes-the-last'),
  PostgreSQL: async () => {
    const place = { host: server.socket, port: server.port, database: await server.database(), user: 'test' };
    const how = { password: null, tls: null, connections: 2, timeoutSeconds: 10 };
    return openPostgresql({ ...place, ...how }, postgresqlMigrations, clusterTables());
  },
};

describe.each(Object.entries(STORES))('the trail of a mail in %s', (_, openStore) => {
  let folder: string;
  let store: SqlStore;
  let now: Date;
  let lines: Event[];
  const clock = () => now;
  const log = { write: (event: Event) => void lines.push(event) };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sealgate-trail-'));
    store = await openStore(folder);
    now = new Date('2026-03-01T12:00:00Z');
    lines = [];
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Rows of steps, mails. */
  async function counted(): Promise<number[]> {
    const [row] = await store.query({
      sql: 'SELECT (SELECT count(*) FROM trail_event) AS lines, (SELECT count(*) FROM trail_mail) AS mails',
      parameters: [],
    });
    return [Number(row?.lines), Number(row?.mails)];
  }

  it('has what the log says of it, in order, and every line goes to the log besides', async () => {
    const trail = new Trail({ store, days: 2, clock, log });
    const events: Event[] = [
      taken('m1', 'Alice@Example.org', 'bob@example.net'),
      { event: 'gateway.stopped', level: 'info' },
      taken('m2', 'carol@example.org', 'bob@example.net'),
      refused('m1', 'no certificate'),
    ];
    for (const event of events) trail.write(event);
    await trail.close();
    expect(lines).toEqual(events);
    expect(await stepsOf(store, 'm1', EVER, 100)).toEqual([
      { at: now, event: events[0] },
      { at: now, event: events[3] },
    ]);
    expect(await stepsOf(store, 'm3', EVER, 100)).toEqual([]);
  });

  it('tells what several nodes have said in the order in which it happened, by the time they agree on', async () => {
    const opened = new Opened();
    const node = (name: string) =>
      openTrail({ config: { log: { traceDays: 3 }, stateFolder: folder }, clock, opened }, log, {
        rows: store,
        nodes: { name, now: () => new Date(now.getTime() + 60_000) },
      });
    // The clock of each machine is another one.
    const [one, other] = [await node('one'), await node('other')];
    one.write(taken('m1', 'a@x', 'b@x'));
    now = new Date(now.getTime() + 10);
    other.write(refused('m1', 'later'));
    now = new Date(now.getTime() + 10);
    one.write(refused('m1', 'last'));
    // What was opened last is written first.
    await opened.close();
    const steps = await stepsOf(store, 'm1', EVER, 10);
    expect(steps.map(({ event }) => ('reason' in event ? event.reason : 'taken'))).toEqual([
      ...['taken', 'later', 'last'],
    ]);
    expect(steps.at(-1)?.at).toEqual(new Date(now.getTime() + 60_000));
    expect(steps.map(({ node: name }) => name)).toEqual(['one', 'other', 'one']);
  });

  it('mails are found by sender or login, by recipient and by time, addresses in any letter case', async () => {
    const trail = new Trail({ store, days: 20, clock, log });
    trail.write(taken('m1', 'Alice@Example.org', 'bob@example.net, Zoë_x@example.net'));
    await trail.flush();
    now = new Date(now.getTime() + DAY_MS);
    trail.write(taken('m2', 'carol@example.org', '100%@example.net'));
    await trail.close();
    const found = async (wanted: Parameters<typeof findMails>[1]) =>
      (await findMails(store, wanted, EVER, 10)).map((one) => one.mail);
    expect(await found({})).toEqual(['m2', 'm1']);
    expect(await found({ from: 'alice@example.ORG' })).toEqual(['m1']);
    expect(await found({ from: 'alice' })).toEqual(['m2', 'm1']);
    expect(await found({ to: 'BOB@example.net' })).toEqual(['m1']);
    expect(await found({ to: '%' })).toEqual(['m2']);
    expect(await found({ to: '_x@' })).toEqual(['m1']);
    expect(await found({ since: now })).toEqual(['m2']);
    expect(await found({ from: 'nobody@example.org' })).toEqual([]);
  });

  it('mail without a sender is found by that, and what another server brought is not among it', async () => {
    const trail = new Trail({ store, days: 20, clock, log });
    trail.write(taken('m1', '', 'bob@example.net', ''));
    trail.write(taken('m2', 'dora@example.com', 'bob@example.net', ''));
    await trail.close();
    expect((await findMails(store, { from: '' }, EVER, 10)).map(({ mail: id }) => id)).toEqual(['m1']);
  });

  it('steps of one moment are one row, with the time of each; those of many mails come back in their order', async () => {
    const trail = new Trail({ store, days: 2, clock, log });
    const ids = Array.from({ length: 150 }, (_, i) => `m${i}`);
    for (const step of ['first', 'second', 'third']) {
      for (const id of ids) trail.write(refused(id, step));
      now = new Date(now.getTime() + 1);
    }
    trail.write(taken('m7', 'a@example.org', 'b@example.org'));
    await trail.close();
    expect(await counted()).toEqual([150, 1]);
    for (const id of ids) {
      const steps = await stepsOf(store, id, EVER, 3);
      expect(steps).toEqual(
        ['first', 'second', 'third'].map((step, i) => ({
          at: new Date(now.getTime() - 3 + i),
          event: refused(id, step),
        })),
      );
    }
    expect(await stepsOf(store, 'm7', EVER, 10)).toHaveLength(4);
  });

  it('is forgotten after its days by a gateway that starts then, before any mail comes', async () => {
    const trail = new Trail({ store, days: 2, clock, log });
    trail.write(taken('m1', 'a@example.org', 'b@example.org'));
    await trail.close();
    now = new Date(now.getTime() + 2 * DAY_MS);
    expect(await stepsOf(store, 'm1', keptSince(now, 2), 10)).toEqual([]);
    expect(await findMails(store, {}, keptSince(now, 2), 10)).toEqual([]);
    const forgetting = new Forgetting({ store, days: 2, clock });
    await forgetting.forget();
    await forgetting.close();
    expect(await counted()).toEqual([0, 0]);
  });

  it('is forgotten where nothing is to be kept any more', async () => {
    const trail = new Trail({ store, days: 2, clock, log });
    for (let i = 0; i < 2 * limits.trail.forgottenAtOnce + 1; i++)
      trail.write(taken(`m${i}`, 'a@example.org', 'b@example.org'));
    await trail.close();
    const forgetting = new Forgetting({ store, days: 0, clock });
    await forgetting.forget();
    await forgetting.close();
    expect(await counted()).toEqual([0, 0]);
  });

  it('is forgotten before its days are over where there is too much: the oldest lines, and the mails that they were about', async () => {
    const trail = new Trail({ store, days: 2, rows: 20, clock, log });
    for (let i = 0; i < 30; i++) {
      now = new Date(now.getTime() + 1000);
      trail.write(taken(`m${i}`, 'a@example.org', 'b@example.org'));
      await trail.flush();
      trail.write(refused(`m${i}`, 'x'));
      await trail.flush();
    }
    const forgetting = new Forgetting({ store, days: 2, rows: 20, clock });
    await forgetting.forget();
    await forgetting.close();
    await trail.close();
    expect(await counted()).toEqual([20, 10]);
    expect((await findMails(store, {}, EVER, 100)).at(-1)?.mail).toBe('m20');
    expect(await stepsOf(store, 'm20', EVER, 10)).toHaveLength(2);
  });

  it('a line is not longer than it may be, whatever a stranger says', async () => {
    const trail = new Trail({ store, days: 2, clock, log });
    trail.write(refused('m1', '\ud83d\ude00'.repeat(100_000)));
    await trail.close();
    const [row] = await store.query({ sql: 'SELECT length(event) AS long FROM trail_event', parameters: [] });
    expect(Number(row?.long)).toBeLessThan(2 * limits.trail.textCharacters);
    expect(await stepsOf(store, 'm1', EVER, 10)).toHaveLength(1);
  });

  it('a database that cannot be used costs lines of the trail, is said once, and nothing else', async () => {
    let broken = true;
    const failing: SqlStore = {
      ...{ query: (statement) => store.query(statement), close: () => store.close() },
      transaction: async (statements) => {
        if (broken) throw storeUnavailable('no room');
        return store.transaction(statements);
      },
    };
    const trail = new Trail({ store: failing, days: 2, clock, log });
    for (const id of ['m1', 'm2']) {
      trail.write(refused(id, 'x'));
      await trail.flush();
    }
    broken = false;
    trail.write(refused('m3', 'x'));
    await trail.close();
    expect(lines.filter(({ event }) => event === 'trail.unavailable')).toHaveLength(1);
    expect(lines.filter(({ event }) => event === 'mail.refused')).toHaveLength(3);
    expect(await stepsOf(store, 'm3', EVER, 10)).toHaveLength(1);
  });

  it('what waits to be written down is bounded', async () => {
    const waiting = Promise.withResolvers<void>();
    const slow: SqlStore = {
      ...{ query: (statement) => store.query(statement), close: () => store.close() },
      transaction: async (statements) => {
        await waiting.promise;
        return store.transaction(statements);
      },
    };
    const trail = new Trail({ store: slow, days: 2, clock, log });
    for (let i = 0; i < limits.trail.unwritten + 10; i++) trail.write(refused('m1', 'x'));
    const closed = trail.close();
    waiting.resolve();
    await closed;
    const { unwritten, writtenAtOnce } = limits.trail;
    expect(await counted()).toEqual([unwritten / writtenAtOnce, 0]);
    expect(await stepsOf(store, 'm1', EVER, 2 * unwritten)).toHaveLength(unwritten);
    expect(lines.filter(({ event }) => event === 'trail.unavailable')).toEqual([
      expect.objectContaining({ events: 10 }),
    ]);
  });

  it('says of what arrives whether it was opened for whoever got it', () => {
    const as: MailEvent = {
      ...{ event: 'mail.protected', level: 'info', mail: mail('m1'), rule: null, recipients: 1 },
      ...{ signed: false, encrypted: false, octets: 7 },
    };
    expect(tellStep(as)).toBe('as it came for one recipient: 7 octets');
    expect(tellStep({ ...as, opened: true })).toBe('readable for one recipient: 7 octets');
    expect(tellStep({ ...as, rule: 'relay' })).toBe('as it came for one recipient by rule relay: 7 octets');
  });

  it('names those whom a step is about, as many as fit', () => {
    const step: MailEvent = {
      ...{ event: 'queue.failed', level: 'error', mail: mail('m1'), delivery: 'd1', purpose: 'submitted' },
      ...{ to: 'a@x.test, b@x.test', reason: 'no such user', reported: true },
      recipients: 2,
    };
    expect(tellStep(step)).toBe('failed for a@x.test, b@x.test, the sender is told by mail: no such user');
    expect(tellStep({ ...step, recipients: 5 })).toContain('a@x.test, b@x.test and 3 more, the sender');
  });

  it('as many recipients are told of as fit', () => {
    const at = (localPart: string) => ({ mailbox: { localPart, domain: 'x.test' }, parameters: [] });
    expect(toldRecipients([at('a'), at('b')], 8)).toBe('a@x.test');
    expect(toldRecipients([at('a'), at('b')], 100)).toBe('a@x.test, b@x.test');
  });

  it('a stranger’s text can neither move the cursor nor begin a line', () => {
    const told = tellStep(refused('m1', 'evil\r\nm2 delivered\u001b[2J\u202etxt'));
    expect(told).toBe('refused (policy.refused): evil\\u{d}\\u{a}m2 delivered\\u{1b}[2J\\u{202e}txt');
  });
});
