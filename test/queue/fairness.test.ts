import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Deliverer } from '../../src/queue/deliverer.ts';
import { DurableQueue } from '../../src/queue/durable-queue.ts';
import { OwnMails } from '../../src/queue/own-mail.ts';
import { OwnWork } from '../../src/queue/own-work.ts';
import type { Courier, DeliveryOutcome, Router } from '../../src/queue/ports.ts';
import { sql } from '../../src/store/sql-store.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';
import { mailbox, mailTo, startTestQueue, type TestQueue } from './support/queue.ts';

const identity = ownIdentity([newOwnKey()]);
const byDomain: Router = { destinationOf: ({ mailbox: { domain } }) => `domain:${domain}`, atOnce: () => 2 };

/** Servers of `dead…` say nothing until the test ends; all others take what they get. */
class Internet implements Courier {
  readonly tried: string[] = [];
  readonly #hanging: (() => void)[] = [];

  async deliver({ envelope }: Parameters<Courier['deliver']>[0]): Promise<readonly DeliveryOutcome[]> {
    const domain = envelope.recipients[0]?.mailbox.domain ?? '';
    this.tried.push(domain);
    const isDead = domain.startsWith('dead');
    if (isDead) await new Promise<void>((resolve) => this.#hanging.push(resolve));
    return envelope.recipients.map((recipient) =>
      isDead
        ? { recipient, kind: 'later', reply: null, because: 'connect timed out' }
        : { recipient, kind: 'delivered', reply: null },
    );
  }

  async close(): Promise<void> {
    for (const end of this.#hanging.splice(0)) end();
  }
}

let q: TestQueue;
let internet: Internet;
let deliverer: Deliverer;
let queue: DurableQueue;
beforeEach(async () => {
  q = await startTestQueue();
  internet = new Internet();
  const clock = () => new Date();
  const log = { write: () => undefined };
  const work = new OwnWork();
  queue = new DurableQueue({ store: q.store, spool: q.spool, router: byDomain, work, clock, log });
  deliverer = new Deliverer({
    ...{ store: q.store, spool: q.spool, queue, clock, log, hostname: 'gateway.test', server: 'mail.test' },
    ownMails: new OwnMails({ identity, hostname: 'gateway.test', days: 5, clock, log }),
    ...{ courier: () => internet, work, most: 20, alone: true, atOnce: () => 2 },
  });
});
afterEach(async () => {
  const stopped = deliverer.stop();
  // What is begun until it has stopped hangs, too.
  let isOver = false;
  void stopped.then(() => {
    isOver = true;
  });
  while (!isOver) {
    await internet.close();
    await turn();
  }
  await q.stop();
});

const mail = (from: string, to: string) => {
  const one = mailTo({ time: { now: new Date() } }, { to: [to] });
  return { ...one, envelope: { ...one.envelope, reversePath: mailbox(from) } };
};

/** As many rows like the one that is there, each for a domain of its own. */
async function multiply(
  count: number,
  { lane, attempts }: { lane: string; attempts: number },
): Promise<void> {
  const copied = `spool, mail, purpose, kind, way, reverse_path, parameters, require_tls, octets, enqueued_at, expires_at, next_at,
    overdue_at, last_at, delay_told, state, held_at, lease_holder, lease_until, fence`;
  const columns = { sql: copied, parameters: [] };
  await q.store.transaction([
    sql`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
      INSERT INTO delivery (id, destination, lane, attempts, ${columns})
      SELECT 'copy' || i, 'domain:dead' || i || '.example', ${lane}, ${attempts}, ${columns} FROM delivery, n`,
    sql`INSERT INTO delivery_recipient (delivery, position, recipient)
      SELECT id, 0, '{"mailbox":{"localPart":"x","domain":"' || substr(destination, 8) || '"},"parameters":[]}'
      FROM delivery WHERE id LIKE 'copy%'`,
  ]);
}

test.each([
  ['retries to dead domains', { lane: '', attempts: 3 }],
  ['new mails of one sender to dead domains', { lane: 'news@example.org', attempts: 0 }],
])('with 20,000 %s a mail to a healthy one is tried at once', async (_, of) => {
  await queue.enqueue([mail('news@example.org', 'x@dead.example')]);
  await multiply(20_000, of);
  deliverer.start();
  await expect.poll(() => internet.tried.length).toBeGreaterThanOrEqual(5);
  await queue.enqueue([mail('alice@example.org', 'bob@healthy.example')]);
  await expect.poll(() => internet.tried).toContain('healthy.example');
  // Each dead server is still being waited for.
  expect(internet.tried.length).toBeLessThan(20);
});

test("one sender's many mails do not make another's wait, at one place", async () => {
  await queue.enqueue(
    Array.from({ length: 300 }, (_, i) => mail('news@example.org', `${i}@healthy.example`)),
  );
  const order: string[] = [];
  internet.deliver = async ({ envelope }) => {
    order.push(envelope.reversePath?.localPart ?? '');
    return envelope.recipients.map((recipient) => ({ recipient, kind: 'delivered', reply: null }));
  };
  for (const i of [1, 2, 3]) await queue.enqueue([mail('alice@example.org', `${i}@healthy.example`)]);
  deliverer.start();
  await expect.poll(() => order.filter((one) => one === 'alice').length).toBe(3);
  expect(order.lastIndexOf('alice')).toBeLessThan(20);
});
