import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isOfMail } from '../../src/holding/held-rows.ts';
import { sweepOrphans } from '../../src/queue/orphans.ts';
import { startTestQueue, type TestQueue } from '../queue/support/queue.ts';
import { type Desk, mailToHold, startDesk, states } from './support/desk.ts';

/** The gateway ends between any two steps, before one or after it although nobody hears of it; another one goes on in its folder. */

const BOB = 'bob@partner.example';
const CAROL = 'carol@partner.example';

class Killed extends Error {}

type Deadly = { steps: number; dieAt: number; after: boolean };

/** A desk of which nothing works any more from one step on. */
async function deadlyDesk(base: TestQueue, deadly: Deadly): Promise<Desk> {
  const step = async <T>(act: () => Promise<T>): Promise<T> => {
    deadly.steps++;
    if (deadly.steps > deadly.dieAt || (deadly.steps === deadly.dieAt && !deadly.after)) throw new Killed();
    const result = await act();
    if (deadly.steps >= deadly.dieAt) throw new Killed();
    return result;
  };
  const { stage } = base.queue;
  const desk = await startDesk({
    queue: {
      ...base,
      queue: Object.assign(Object.create(base.queue), {
        stage: (mail: Parameters<typeof stage>[0]) => step(() => stage.call(base.queue, mail)),
      }),
    },
    around: ({ store, spool }) => ({
      store: {
        query: (statement) => step(() => store.query(statement)),
        transaction: (statements) => step(() => store.transaction(statements)),
        close: () => store.close(),
      },
      spool: {
        write: (octets) => step(() => spool.write(octets)),
        read: (name) => step(() => spool.read(name)),
        remove: (name) => step(() => spool.remove(name)),
      },
    }),
  });
  return desk;
}

/** What every mail is after a crash, whatever the step: settled or waiting, each in the queue as often as it has left. */
async function consistent(
  base: TestQueue,
  mail: ReturnType<typeof mailToHold>,
  where: string,
): Promise<void> {
  const after = await startDesk({ queue: base });
  const states_ = await states(after, mail.id);
  const released = (await after.queued()).filter(({ purpose }) => purpose === 'released').length;
  expect(released, where).toBe(states_.filter((one) => one.endsWith('leaving')).length);
  for (const part of await after.held.parts([isOfMail(mail.id)])) {
    if (part.recipients.some(({ state }) => state === 'waiting')) await after.held.content(part);
  }
  // And it goes on.
  after.known.set(BOB, 'certificate').set(CAROL, 'certificate');
  for (const part of await after.held.parts([isOfMail(mail.id)])) await after.releases.look(part);
  await after.held.sweep();
  const all = await after.queued();
  expect(
    all
      .filter(({ purpose }) => purpose === 'released')
      .map(({ text }) => text)
      .sort(),
    where,
  ).toHaveLength(states_.length);
  for (const days of [1, 32]) {
    await sweepOrphans(base.store, base.spool, new Date(Date.now() + days * 24 * 3_600_000));
  }
  expect((await readdir(join(base.state, 'queue'))).sort(), where).toEqual(all.map(({ id }) => id).sort());
}

test.each([false, true])('while a mail is taken (after the step: %s)', async (after) => {
  let taken = false;
  for (let dieAt = 1; !taken; dieAt++) {
    const base = await startTestQueue();
    try {
      const desk = await deadlyDesk(base, { steps: 0, dieAt, after });
      const mail = mailToHold({ to: [BOB, CAROL], ask: true, introduction: Buffer.from('note\r\n') });
      taken = await desk.desk.hold([mail]).then(
        () => true,
        () => false,
      );
      const found = await states(await startDesk({ queue: base }), mail.id);
      // The client was told that it is kept, or it was not told anything: then all of it is there, or nothing.
      if (taken) expect(found).toHaveLength(2);
      expect([0, 2]).toContain(found.length);
      const others = (await base.store.query({ sql: 'SELECT purpose FROM delivery', parameters: [] })).length;
      expect(others).toBe(found.length === 0 ? 0 : 3);
      if (found.length > 0) await consistent(base, mail, `taken ${dieAt}`);
    } finally {
      await base.stop();
    }
  }
});

test.each([false, true])('while a mail is released (after the step: %s)', async (after) => {
  let done = false;
  for (let dieAt = 1; !done; dieAt++) {
    const base = await startTestQueue();
    try {
      const mail = mailToHold({ to: [BOB, CAROL] });
      await (await startDesk({ queue: base })).desk.hold([mail]);
      const deadly = { steps: 0, dieAt, after };
      const desk = await deadlyDesk(base, deadly);
      desk.known.set(BOB, 'certificate').set(CAROL, 'certificate');
      const [part] = await (await startDesk({ queue: base })).held.parts([isOfMail(mail.id)]);
      if (part === undefined) throw new Error('nothing is held');
      await desk.releases.look(part).catch(() => undefined);
      done = deadly.steps < dieAt;
      await consistent(base, mail, `released ${dieAt}`);
    } finally {
      await base.stop();
    }
  }
});
