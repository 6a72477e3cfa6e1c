import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { newMailId } from '../../src/ids.ts';
import { QueuedCopies } from '../../src/imap-out/queued-copies.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { MailToDeliver } from '../../src/queue/ports.ts';
import { type SqlStore, sql } from '../../src/store/sql-store.ts';
import { away, FakeLog } from '../pipeline/support/ports.ts';
import { startTestQueue } from '../queue/support/queue.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const HOUR_MS = 3_600_000;

let log: FakeLog;
let enqueued: MailToDeliver[];
let story: string[];
let withdrawTrouble: Error | null;
beforeEach(() => {
  log = new FakeLog();
  enqueued = [];
  story = [];
  withdrawTrouble = null;
});

async function dueOf(store: SqlStore, at: Date) {
  const rows = await store.query(sql`SELECT id FROM delivery WHERE next_at <= ${at.getTime()}`);
  return rows.map(({ id }) => id);
}

function copies(): QueuedCopies {
  return new QueuedCopies({
    archives: [
      { name: 'sent', login: '{login}*gateway' },
      { name: 'journal', login: 'journal' },
    ],
    queue: {
      async enqueue(mails) {
        enqueued.push(...mails);
        return mails.map((_, i) => `d${i}`);
      },
      begin: async (deliveries) => void story.push(`begin ${deliveries.join(' ')}`),
      async withdraw(deliveries) {
        if (withdrawTrouble !== null) throw withdrawTrouble;
        story.push(`withdraw ${deliveries.join(' ')}`);
      },
    },
    ...{ days: 5, clock: () => NOW, log },
  });
}

const copy = (archives: readonly string[], login = 'alice') => ({
  ...{
    id: newMailId(),
    login,
    archives,
    requireTls: 'no' as const,
    octets: bufferSource(Buffer.from('mail')),
  },
});

describe('copies in the queue', () => {
  it('wait for what becomes of the mail, all of them in one step, and nobody hears of what fails', async () => {
    const kept = await copies().keep(copy(['sent', 'journal']));
    expect(enqueued).toMatchObject([
      {
        ...{ purpose: 'archive', way: { kind: 'append', archive: 'sent', login: 'alice' } },
        envelope: { reversePath: null },
        expiresAt: new Date(NOW.getTime() + 5 * 24 * HOUR_MS),
      },
      { way: { kind: 'append', archive: 'journal', login: 'alice' } },
    ]);
    expect(enqueued.every(({ notBefore }) => (notBefore ?? NOW).getTime() >= NOW.getTime() + HOUR_MS)).toBe(
      true,
    );
    await kept.left();
    await kept.takenBack();
    expect(story).toEqual(['begin d0 d1', 'withdraw d0 d1']);
  });

  it('that cannot be taken back are told of, and change nothing else', async () => {
    withdrawTrouble = away('store.unavailable');
    const kept = await copies().keep(copy(['sent']));
    await expect(kept.takenBack()).resolves.toBeUndefined();
    expect(log.named('archive.not-taken-back')).toHaveLength(1);
  });

  it.each<[string, readonly string[], string, string]>([
    [
      'of which the archive could be taken for somebody else’s',
      ['journal', 'sent'],
      'bob*alice',
      'archive.login',
    ],
    ['for an archive that is not there', ['journal', 'gone'], 'alice', 'archive.unknown'],
  ])('%s are not kept, nor the others of the mail', async (_, archives, login, code) => {
    await expect(copies().keep(copy(archives, login))).rejects.toMatchObject({ code });
    expect(enqueued).toEqual([]);
  });
});

describe('copies on the disk', () => {
  it('go on their way with the mail, not without it, and an hour after a crash in between', async () => {
    const own = await startTestQueue();
    const { queue, store, time, state } = own;
    const archives = [{ name: 'sent', login: '{login}*gateway' }];
    const parts = { archives, queue, days: 5, clock: () => time.now, log };
    const [, refused, left] = [
      await new QueuedCopies(parts).keep(copy(['sent'])),
      await new QueuedCopies(parts).keep(copy(['sent'])),
      await new QueuedCopies(parts).keep(copy(['sent'])),
    ];
    const due = () => dueOf(store, time.now);
    expect(await due()).toEqual([]);
    await refused.takenBack();
    await left.left();
    expect(await due()).toHaveLength(1);
    expect(await readdir(join(state, 'queue'))).toHaveLength(2);
    time.now = new Date(time.now.getTime() + HOUR_MS);
    // The first is of a mail that nobody knows anything about any more.
    expect(await due()).toHaveLength(2);
    await own.stop();
  });
});
