import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newMailId } from '../../../src/ids.ts';
import type { Event } from '../../../src/log/events.ts';
import { DurableQueue } from '../../../src/queue/durable-queue.ts';
import { OwnKey } from '../../../src/queue/own-key.ts';
import type { MailToDeliver, Router } from '../../../src/queue/ports.ts';
import { SpoolFolder } from '../../../src/queue/spool-folder.ts';
import { openQueueStore } from '../../../src/store/queue-migrations.ts';
import type { SqlStore } from '../../../src/store/sql-store.ts';
import { newOwnKey, ownIdentity, type WrittenKey } from './own-identity.ts';

export const DAY_MS = 24 * 3_600_000;

/** A queue in a folder of its own, whose time is what the test says. */
export type TestQueue = {
  state: string;
  store: SqlStore;
  spool: SpoolFolder;
  queue: DurableQueue;
  events: Event[];
  /** Set it to let time pass. */
  time: { now: Date };
  woken: { times: number };
  stop(): Promise<void>;
};

const key: WrittenKey = newOwnKey();

export async function startTestQueue(router: Router | null = null): Promise<TestQueue> {
  const state = await mkdtemp(join(tmpdir(), 'sealgate-queue-'));
  const store = await openQueueStore(state);
  const spool = await SpoolFolder.open(state, new OwnKey(ownIdentity([key])));
  const events: Event[] = [];
  const time = { now: new Date('2026-03-01T12:00:00Z') };
  const woken = { times: 0 };
  const queue = new DurableQueue({
    ...{ store, spool, clock: () => time.now, log: { write: (event: Event) => events.push(event) } },
    router,
    work: {
      written() {
        woken.times++;
      },
    },
  });
  return {
    ...{ state, store, spool, queue, events, time, woken },
    async stop() {
      await store.close();
      await rm(state, { recursive: true });
    },
  };
}

/** A mail to Bob from Alice, released, five days to go; or otherwise. */
export function mailTo(
  { time }: Pick<TestQueue, 'time'>,
  { to = ['bob@partner.example'], ...changes }: Partial<MailToDeliver> & { to?: readonly string[] } = {},
): MailToDeliver {
  return {
    ...{ id: newMailId(), purpose: 'released', way: { kind: 'smtp' }, requireTls: 'no' },
    envelope: {
      reversePath: mailbox('alice@example.org'),
      mailParameters: [],
      recipients: to.map((address) => ({ mailbox: mailbox(address), parameters: [] })),
    },
    expiresAt: new Date(time.now.getTime() + 5 * DAY_MS),
    octets: Buffer.from('From: alice@example.org\r\nSubject: plans\r\n\r\nThe text.\r\n'),
    ...changes,
  };
}

export function mailbox(address: string): { localPart: string; domain: string } {
  const at = address.lastIndexOf('@');
  return { localPart: address.slice(0, at), domain: address.slice(at + 1) };
}
