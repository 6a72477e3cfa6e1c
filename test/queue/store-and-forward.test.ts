import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import type { Variant } from '../../src/pipeline/ports.ts';
import { readDeliveries } from '../../src/queue/delivery-rows.ts';
import { OwnMails } from '../../src/queue/own-mail.ts';
import { ENDLESS } from '../../src/queue/room.ts';
import { SubmittedMail } from '../../src/queue/store-and-forward.ts';
import type { SqlStore } from '../../src/store/sql-store.ts';
import { submission } from '../pipeline/support/ports.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';
import { startTestQueue, type TestQueue } from './support/queue.ts';

const TEXT = Buffer.from('From: alice@example.org\r\nSubject: plans\r\n\r\nThe text.\r\n');

let q: TestQueue;
beforeEach(async () => {
  q = await startTestQueue();
});
afterEach(() => q.stop());

function submitted(store: SqlStore): SubmittedMail {
  const clock = () => q.time.now;
  const common = { hostname: 'gateway.example.org', days: 5, clock };
  const ownMails = new OwnMails({
    ...{ identity: ownIdentity([newOwnKey()]), log: { write: () => undefined } },
    ...common,
  });
  const parts = { store, queue: q.queue, ownMails, room: ENDLESS, server: 'mail.example.org' };
  return new SubmittedMail({ ...parts, ...common });
}

function keeping(store: SqlStore) {
  return submitted(store).begin(submission('alice@example.org', ['bob@example.org'], TEXT));
}

const bob: Variant = {
  recipients: submission('alice@example.org', ['bob@example.org'], TEXT).envelope.recipients,
  protection: { signed: false, encrypted: false },
  ...{ octets: bufferSource(TEXT), requireTls: false },
};

/** A database whose answer to a transaction is lost. */
function unheard(when: 'before' | 'after'): SqlStore {
  return {
    query: (statement) => q.store.query(statement),
    async transaction(statements) {
      if (statements.every(({ sql }) => sql.startsWith('SELECT'))) return q.store.transaction(statements);
      if (when === 'after') await q.store.transaction(statements);
      const publicText = 'It was lost.';
      throw new SealgateError({ code: 'store.unavailable', publicText, duration: 'temporary' });
    },
    close: () => q.store.close(),
  };
}

test('what was written although the database did not say so is accepted: its client sends it no second time', async () => {
  const mail = keeping(unheard('after'));
  await mail.add(bob);
  await mail.commit();
  await mail.drop();
  const [kept] = await readDeliveries(q.store, [], 10);
  expect(await readdir(join(q.state, 'queue'))).toEqual([kept?.spool]);
  expect(q.events.map(({ event }) => event)).toEqual(['queue.enqueued']);
});

test('what was not written is a refusal for now, and nothing of it is kept', async () => {
  const mail = keeping(unheard('before'));
  await mail.add(bob);
  await expect(mail.commit()).rejects.toMatchObject({ code: 'store.unavailable', duration: 'temporary' });
  expect(await readdir(join(q.state, 'queue'))).toEqual([]);
});

test('a report of what the server refused has nothing of a mail that was opened', async () => {
  for (const opened of [undefined, true] as const) {
    const mail = keeping(q.store);
    await mail.fail({ ...bob, opened }, { code: 550, lines: ['5.1.1 nobody'] });
    await mail.commit();
  }
  const deliveries = await readDeliveries(q.store, [], 10);
  const texts = await Promise.all(
    deliveries.map(async ({ spool }) => String(await collectFrom(await q.spool.read(spool)))),
  );
  expect(texts.map((text) => text.includes('Subject: plans')).sort()).toEqual([false, true]);
});
