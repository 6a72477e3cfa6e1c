import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';
import { toldRecipients } from '../smtp/told-recipients.ts';
import { fateAfter } from '../store/in-doubt.ts';
import { type SqlStore, sql } from '../store/sql-store.ts';
import { insertDelivery, laneOf, placeOf, witnessOf } from './delivery-rows.ts';
import type {
  DeliveryId,
  Due,
  DueWork,
  MailToDeliver,
  Queue,
  Router,
  SealedSpool,
  Staged,
  Way,
} from './ports.ts';
import { randomSpoolName } from './spool-name.ts';
import { removeUnused } from './unused-files.ts';

export type DurableQueueParts = {
  store: SqlStore;
  spool: SealedSpool;
  /** null: everything goes to the one server. */
  router: Router | null;
  /** Told when something may leave. */
  work: Pick<DueWork, 'written'>;
  clock: Clock;
  log: Log;
};

/**
 * What is put into the queue, by the gateway or by a command beside it: a sealed file first, then its rows.
 *
 * Holds: a row is never there without its file. A file without a row is swept. One delivery has the recipients of one destination, so that
 * nobody waits for a destination that is not her own.
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
    } catch (error) {
      for (const one of staged) await one.dropped();
      throw error;
    }
    await commitStaged(this.#parts.store, staged);
    return staged.flatMap(({ deliveries }) => deliveries);
  }

  async stage(mail: MailToDeliver): Promise<Staged> {
    const { store, spool, router, work, clock, log } = this.#parts;
    if (mail.envelope.recipients.length === 0) throw new Error('a mail for nobody');
    const { octets, ...rest } = mail;
    const name = await spool.write(octets);
    const now = clock();
    const parts = byDestination(rest, router).map((part, i) => ({
      ...part,
      delivery: i === 0 ? name : randomSpoolName(),
    }));
    return {
      deliveries: parts.map(({ delivery }) => delivery),
      statements: parts.flatMap(({ delivery: id, ...part }) =>
        insertDelivery({ id, spool: name, mail: part, octets: octets.length, now }),
      ),
      committed() {
        const { id, purpose } = mail;
        for (const { delivery, envelope } of parts) {
          log.write({
            ...{ event: 'queue.enqueued', level: 'info', mail: id, delivery, purpose },
            to: toldRecipients(envelope.recipients, limits.trail.stepRecipientCharacters),
            recipients: envelope.recipients.length,
            octets: octets.length,
          });
        }
        const lane = laneOf(mail.envelope.reversePath);
        work.written(
          parts.map(({ way, notBefore }) => ({ place: placeOf(way), lane, at: notBefore ?? now })),
        );
      },
      async dropped() {
        // Nobody knows whether a transaction that failed was written after all: where its row is there, so is its file.
        const written = await store
          .query(sql`SELECT 1 FROM delivery WHERE spool = ${name}`)
          .catch(() => null);
        if (written?.length === 0) await spool.remove(name);
      },
    };
  }

  async begin(deliveries: readonly DeliveryId[]): Promise<void> {
    const { store, clock, log, work } = this.#parts;
    const now = clock();
    const at = now.getTime();
    try {
      const rows = await store.transaction(
        deliveries.map(
          (id) =>
            sql`UPDATE delivery SET next_at = ${at} WHERE id = ${id} AND attempts = 0 AND next_at > ${at} RETURNING kind, destination, lane`,
        ),
      );
      work.written(
        rows.flat().map(({ kind, destination, lane }): Due => {
          return {
            place: { kind: kind as Way['kind'], destination: String(destination) },
            lane: String(lane),
            at: now,
          };
        }),
      );
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      log.write({ event: 'queue.unavailable', level: 'error', reason: error.message });
    }
  }

  async withdraw(deliveries: readonly DeliveryId[]): Promise<void> {
    const { store, spool } = this.#parts;
    const rows = await store.transaction(
      deliveries.map((id) => sql`DELETE FROM delivery WHERE id = ${id} RETURNING spool`),
    );
    const names = rows.flat().map(({ spool: name }) => String(name));
    await removeUnused(store, names, (name) => spool.remove(name));
  }
}

/**
 * Writes what was staged, all of it or nothing, and begins it. What was written although the database did not say so is written: whoever is told
 * otherwise sends all of it again.
 *
 * @throws what the database throws: nothing is kept then. `queue.in-doubt` (temporary) where nobody can say what became of it: it may still
 *   leave, or is swept
 */
export async function commitStaged(store: SqlStore, staged: readonly Staged[]): Promise<void> {
  const [first = ''] = staged.flatMap(({ deliveries }) => deliveries);
  try {
    await store.transaction(staged.flatMap(({ statements }) => statements));
  } catch (error) {
    const fate = await fateAfter(error, store, witnessOf(first));
    if (fate === 'absent') for (const one of staged) await one.dropped();
    if (fate === 'unknown') throw inDoubt(error);
    if (fate === 'absent') throw error;
  }
  for (const one of staged) one.committed();
}

function inDoubt(cause: unknown): SealgateError {
  return new SealgateError({
    code: 'queue.in-doubt',
    publicText: 'The gateway could not find out whether it has kept the mail; send it again.',
    duration: 'temporary',
    reason: cause instanceof Error ? cause.message : String(cause),
    cause,
  });
}

type Part = Omit<MailToDeliver, 'octets'>;

/** The same mail once for each place that its recipients are at. */
function byDestination(mail: Part, router: Router | null): readonly Part[] {
  const { way, envelope } = mail;
  if (router === null || way.kind !== 'smtp' || way.destination !== undefined) return [mail];
  const groups = Map.groupBy(envelope.recipients, (recipient) => router.destinationOf(recipient));
  return [...groups].map(
    ([destination, recipients]): Part => ({
      ...mail,
      way: { kind: 'smtp', destination },
      envelope: { ...envelope, recipients },
    }),
  );
}
