import { afterAll, beforeAll, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import type { Courier, DeliveryOutcome } from '../../src/queue/ports.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import { mailTo } from '../queue/support/queue.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { deliveringNode } from './support/delivering-node.ts';

/**
 * A node that stands still (SIGSTOP, a machine that swaps) at each of its steps for longer than its claims last, and goes on when another node has
 * begun to deliver the mail: it brings nobody a copy, writes nothing of the mail, and tells its sender nothing.
 */

const LANES = 6;
const HOUR_MS = 3_600_000;
let server: Started<Postgresql>;
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());

type Step = { name: string; times: number };

/** Stands still when it comes to this step for the n-th time, and with it everything that it does, until it goes on. */
class Stillness {
  hasBegun = false;
  readonly #at: Step;
  readonly #goesOn = Promise.withResolvers<void>();
  #times = 0;
  #isOver = false;

  constructor(at: Step) {
    this.#at = at;
  }

  async step(name: string): Promise<void> {
    if (name.startsWith(this.#at.name)) this.#times++;
    if (this.#isOver || this.#times < this.#at.times) return;
    this.hasBegun = true;
    await this.#goesOn.promise;
  }

  goOn(): void {
    this.#isOver = true;
    this.#goesOn.resolve();
  }

  /** Before each word to the database, and behind each of its answers. */
  around(rows: SqlStore): SqlStore {
    const each = async <T>(name: string, run: () => Promise<T>): Promise<T> => {
      await this.step(`before ${name}`);
      const said = await run();
      await this.step(`behind ${name}`);
      return said;
    };
    const nameOf = (text = '') => text.replaceAll(/\s+/g, ' ').slice(0, 40);
    const by = (store: SqlStore): SqlStore => ({
      ...(store.clock === undefined ? {} : { clock: store.clock }),
      query: (one) => each(nameOf(one.sql), () => store.query(one)),
      transaction: (some) => each(nameOf(some[0]?.sql), () => store.transaction(some)),
      close: () => store.close(),
    });
    return { ...by(rows), ...(rows.urgent === undefined ? {} : { urgent: by(rows.urgent) }) };
  }
}

/** A mail server that has a mail once it has heard its end. */
class Brought implements Courier {
  readonly taken: string[] = [];
  readonly #step: (name: string) => Promise<void>;

  constructor(step: (name: string) => Promise<void>) {
    this.#step = step;
  }

  async deliver({
    envelope,
    octets,
  }: Parameters<Courier['deliver']>[0]): Promise<readonly DeliveryOutcome[]> {
    await this.#step('before the message');
    try {
      if (!Buffer.isBuffer(octets)) await collectFrom(octets);
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      return envelope.recipients.map((recipient) => ({
        ...{ recipient, kind: 'later', reply: null, because: error.publicText },
      }));
    }
    const outcomes = envelope.recipients.map((recipient): DeliveryOutcome => {
      const name = recipient.mailbox.localPart;
      if (name === 'gone') {
        return {
          recipient,
          kind: 'failed',
          reply: { code: 550, lines: ['5.1.1 no'] },
          because: 'no such user',
        };
      }
      this.taken.push(name);
      return { recipient, kind: 'delivered', reply: { code: 250, lines: ['2.0.0 taken'] } };
    });
    await this.#step('behind the message');
    return outcomes;
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}

type Stood = {
  /** Whether it came to that step. */
  hasStood: boolean;
  /** Of everybody who has the mail, and of the report, the copies. */
  taken: readonly string[];
  /** What it did when it went on, which should be nothing. */
  did: readonly string[];
};

async function oneStop(database: string, at: Step): Promise<Stood> {
  const place = { host: server.socket, port: server.port, database };
  const still = new Stillness(at);
  let ahead = 0;
  const before = new Brought((name) => still.step(name));
  const opened = Promise.withResolvers<void>();
  const other = new Brought(async (name) => {
    if (name === 'before the message') await opened.promise;
  });
  const stopped = await deliveringNode({
    ...{ place, courier: before, through: (rows) => still.around(rows) },
    clock: () => new Date(Date.now() + ahead),
  });
  const going = await deliveringNode({ place, courier: other });
  const { store } = going;
  const rows = () => store.query(sql`SELECT id FROM delivery`);
  const claims = () =>
    store.query(
      sql`SELECT id, fence, attempts, last_at, next_at, (SELECT count(*) FROM delivery_recipient WHERE delivery = id) AS recipients
        FROM delivery WHERE lease_holder = ${going.deliverer.holder} ORDER BY id`,
    );
  const did: string[] = [];
  try {
    const to = ['a@partner.example', 'gone@partner.example'];
    await going.queue.enqueue([mailTo({ time: { now: new Date() } }, { purpose: 'submitted', to })]);
    stopped.deliverer.start();
    await eventually(async () => expect(still.hasBegun || (await rows()).length === 0).toBe(true));
    const hasStood = still.hasBegun;
    const had = before.taken.length;
    going.deliverer.start();
    await eventually(async () => {
      // As if the time of its claims were over; what was on its way to the database when it stopped is carried out.
      await store.query(
        sql`UPDATE delivery SET lease_until = 1 WHERE lease_holder = ${stopped.deliverer.holder}`,
      );
      expect((await claims()).length).toBe((await rows()).length);
    });
    const claimed = await claims();
    ahead = HOUR_MS;
    still.goOn();
    await stopped.deliverer.stop();
    if (JSON.stringify(await claims()) !== JSON.stringify(claimed)) did.push('changed a row');
    if (before.taken.length > had) did.push(`brought a message to ${before.taken.slice(had).join(' and ')}`);
    opened.resolve();
    await eventually(async () => expect(await rows()).toEqual([]));
    return { hasStood, taken: [...before.taken, ...other.taken].toSorted(), did };
  } finally {
    still.goOn();
    opened.resolve();
    await stopped.stop();
    await going.stop();
    await server.run('TRUNCATE delivery_recipient, delivery, spool_piece', database);
  }
}

/** Of a mail, and again of the report that it leads to. */
const STEPS: readonly Step[] = [
  'UPDATE delivery SET lease_holder',
  'SELECT (SELECT min(next_at)',
  'SELECT * FROM delivery',
  'SELECT sealed',
  'the message',
  'DELETE FROM delivery_recipient',
  'INSERT INTO spool_piece',
  'INSERT INTO delivery ',
  'DELETE FROM spool_piece',
  'DELETE FROM delivery WHERE id',
].flatMap((name) =>
  ['before', 'behind'].flatMap((where) => [1, 2].map((times) => ({ name: `${where} ${name}`, times }))),
);

/** Where a mail server has a mail and nobody has written it down, the next one brings it again. */
const IN_BETWEEN = /^(behind the message|before DELETE FROM delivery)/;

test('whatever it was doing, it does nothing more of what others have taken over', async () => {
  const databases = await Promise.all(Array.from({ length: LANES }, () => server.database()));
  const steps = [...STEPS];
  const wrong: string[] = [];
  const never: string[] = [];
  await Promise.all(
    databases.map(async (database) => {
      for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
        const { name, times } = step;
        const { hasStood, taken, did } = await oneStop(database, step);
        if (!hasStood && times === 1) never.push(name);
        const copies = IN_BETWEEN.test(name) ? ['a,alice', 'a,a,alice', 'a,alice,alice'] : ['a,alice'];
        const isRight = did.length === 0 && copies.includes(taken.join());
        if (!isRight) wrong.push(`${name}, ${times}: ${did.join()}; taken by ${taken.join()}`);
      }
    }),
  );
  expect(wrong).toEqual([]);
  expect(never).toEqual([]);
});
