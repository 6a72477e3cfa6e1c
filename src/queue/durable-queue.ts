import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';
import { insertDelivery } from './delivery-rows.ts';
import type { DeliveryId, MailToDeliver, Queue, SealedSpool, Staged } from './ports.ts';

export type DurableQueueParts = {
  store: SqlStore;
  spool: SealedSpool;
  clock: Clock;
  log: Log;
  /** Told when something may leave now. */
  wake(): void;
};

/**
 * What is put into the queue, by the gateway or by a command beside it: a sealed file first, then its rows.
 *
 * Holds: a row is never there without its file. A file without a row is swept.
 */
export class DurableQueue implements Queue {
  readonly #parts: DurableQueueParts;

  constructor(parts: DurableQueueParts) {
    this.#parts = parts;
  }

  async enqueue(mails: readonly MailToDeliver[]): Promise<readonly DeliveryId[]> {
    const staged: Staged[] = [];
    try {
      for (const mail of mails) staged.push(await this.stage(mail));
      await this.#parts.store.transaction(staged.flatMap(({ statements }) => statements));
    } catch (error) {
      for (const one of staged) await one.dropped();
      throw error;
    }
    for (const one of staged) one.committed();
    return staged.map(({ delivery }) => delivery);
  }

  async stage(mail: MailToDeliver): Promise<Staged> {
    const { store, spool, clock, log, wake } = this.#parts;
    if (mail.envelope.recipients.length === 0) throw new Error('a mail for nobody');
    // A report takes the place of what has failed: without it, that could never go.
    if (mail.purpose !== 'report') await this.#room();
    const delivery = await spool.write(mail.octets);
    return {
      delivery,
      statements: insertDelivery(delivery, mail, clock()),
      committed() {
        const { id, purpose, envelope, octets } = mail;
        log.write({
          ...{ event: 'queue.enqueued', level: 'info', mail: id, delivery, purpose },
          recipients: envelope.recipients.length,
          octets: octets.length,
        });
        wake();
      },
      async dropped() {
        // Nobody knows whether a transaction that failed was written after all: where its row is there, so is its file.
        const written = await store
          .query(sql`SELECT 1 FROM delivery WHERE spool = ${delivery}`)
          .catch(() => null);
        if (written?.length === 0) await spool.remove(delivery);
      },
    };
  }

  async begin(deliveries: readonly DeliveryId[]): Promise<void> {
    const { store, clock, log, wake } = this.#parts;
    const now = clock().getTime();
    try {
      await store.transaction(
        deliveries.map(
          (id) =>
            sql`UPDATE delivery SET next_at = ${now} WHERE spool = ${id} AND attempts = 0 AND next_at > ${now}`,
        ),
      );
      wake();
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      log.write({ event: 'queue.unavailable', level: 'error', reason: error.message });
    }
  }

  async withdraw(deliveries: readonly DeliveryId[]): Promise<void> {
    const { store, spool } = this.#parts;
    await store.transaction(deliveries.map((id) => sql`DELETE FROM delivery WHERE spool = ${id}`));
    for (const id of deliveries) await spool.remove(id);
  }

  /** @throws SealgateError `queue.full` */
  async #room(): Promise<void> {
    const [row] = await this.#parts.store.query(sql`SELECT count(*) AS mails FROM delivery`);
    if (Number(row?.mails) < limits.queue.deliveries) return;
    throw new SealgateError({
      code: 'queue.full',
      duration: 'temporary',
      publicText: 'The gateway has too much mail waiting to be delivered; try again later.',
    });
  }
}
