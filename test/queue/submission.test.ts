import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readDeliveries } from '../../src/queue/delivery-rows.ts';
import { openQueueStore } from '../../src/store/queue-migrations.ts';
import { eventually } from '../support/eventually.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';

/** A submission listener whose mail goes into the queue: `delivery: queue`. */

let system: MailSystem;
beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    queue: {},
    submission: { delivery: 'queue' },
    pinned: ['bob'],
  });
});
afterAll(() => system.stop());

test('the mail server decides who logs in; mail is answered here, and arrives protected', async () => {
  const reply = await system.send('alice', {
    to: addressOf('bob'),
    subject: 'by the queue',
    text: 'Hello Bob.',
  });
  expect(reply).toMatch(/^250 2\.0\.0 Queued \[\w+\]$/);
  const [shown] = await eventually(async () => {
    const inbox = (await system.read('bob')).map(String);
    expect(inbox).toHaveLength(1);
    return inbox;
  });
  expect(shown).toContain('Hello Bob.');
  const [stored] = (await system.stored('bob')).map(String);
  expect(stored).not.toContain('Hello Bob.');
  // RFC 5321 §4.4, without a word of where Alice is.
  expect(stored).toMatch(
    /^Received: by gateway\S+ \(Sealgate submission\)\s+id \w+;\s+[^\n]* \+0000\r?\nFrom:/m,
  );
  const taken = system.taken();
  expect(taken.map(({ envelope }) => [envelope.login, envelope.reversePath])).toEqual([
    [addressOf('gateway'), addressOf('alice')],
  ]);
});

test('a wrong password is the mail server’s 535, and nothing can be sent', async () => {
  const { login, ...alice } = system.user('alice');
  const wrong = { ...alice, login };
  const { password } = wrong;
  Object.assign(system.user('alice'), { password: 'wrong' });
  try {
    await expect(system.send('alice', { to: addressOf('bob'), subject: 'x', text: 'x' })).rejects.toThrow(
      /535/,
    );
  } finally {
    Object.assign(system.user('alice'), { password });
  }
});

test('whom the mail server does not know is taken, and reported to the sender; a null sender hears nothing', async () => {
  await system.send('alice', {
    to: [addressOf('nobody'), addressOf('bob')],
    subject: 'one of two',
    text: 'x',
  });
  const report = await eventually(async () => {
    const inbox = (await system.read('alice')).map(String);
    expect(inbox).toHaveLength(1);
    return inbox[0] ?? '';
  });
  expect(report).toContain(`Final-Recipient: rfc822; ${addressOf('nobody')}`);
  expect(report).toContain('Action: failed');
  expect(system.events.filter(({ event }) => event === 'queue.enqueued')).toContainEqual(
    expect.objectContaining({ purpose: 'submitted' }),
  );
  await eventually(async () => expect(await inQueue()).toEqual([]));
});

test('a mail that the rules refuse leaves nothing in the queue', async () => {
  await expect(
    system.send('alice', { from: addressOf('bob'), to: addressOf('bob'), subject: 'not mine', text: 'x' }),
  ).rejects.toThrow(/55\d/);
  expect(await inQueue()).toEqual([]);
});

async function inQueue() {
  const store = await openQueueStore(join(system.folder, 'state'));
  try {
    return await readDeliveries(store, [], 10);
  } finally {
    await store.close();
  }
}
