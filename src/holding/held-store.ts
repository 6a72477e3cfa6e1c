import { SealgateError } from '../errors.ts';
import { newMailId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { MailToDeliver, Queue, SealedSpool, Staged } from '../queue/ports.ts';
import { InDoubt, type SqlStore, type Statement } from '../store/sql-store.ts';
import { readContent, type StoredContent } from './held-content.ts';
import type { HeldState } from './held-mail.ts';
import {
  type HeldPart,
  insertSettled,
  isOf,
  type PartRecipient,
  readMark,
  readParts,
  settledFiles,
} from './held-rows.ts';

export type HeldStoreParts = {
  store: SqlStore;
  spool: SealedSpool;
  queue: Pick<Queue, 'stage'>;
  clock: Clock;
  log: Log;
};

/** What becomes of those who waited, and why, as a clause for people. */
export type Fate = {
  state: Exclude<HeldState, 'waiting'>;
  because: string;
  /** For the log: who decided. */
  by: string;
};

/**
 * Mail that waits, as it is kept.
 *
 * Holds: what becomes of a recipient is written once, in one transaction with whatever leaves because of it; of two who decide at once one
 * is told that it was too late. A sealed file is there as long as somebody waits for what is in it.
 */
export class HeldStore {
  readonly #parts: HeldStoreParts;

  constructor(parts: HeldStoreParts) {
    this.#parts = parts;
  }

  /** @throws SealgateError `queue.spool`, `key.unavailable` (temporary); `queue.damaged` */
  async content({ spool: name, id }: Pick<HeldPart, 'spool' | 'id'>): Promise<StoredContent> {
    const content = await readContent(await this.#parts.spool.read(name, id));
    if (content !== null) return content;
    throw new SealgateError({
      code: 'queue.damaged',
      duration: 'permanent',
      publicText: 'What the gateway kept of the mail is damaged, and cannot be read any more.',
    });
  }

  /** Parts that are settled are among them, for some days. */
  parts(
    conditions: readonly Statement[],
    { order = 'spool', limit = MOST_PARTS }: { order?: 'spool' | 'newest'; limit?: number } = {},
  ): Promise<readonly HeldPart[]> {
    return readParts(this.#parts.store, conditions, { order, limit });
  }

  /**
   * Who of these still waits gets this fate, all of them or none.
   *
   * @param deliveries what leaves because of it, or is said about it
   * @returns false: somebody else has settled one of them; nothing was done
   * @throws SealgateError `queue.*`, `store.unavailable` (temporary): nothing was done, or it was and the next look will see it
   */
  async settle(
    part: HeldPart,
    recipients: readonly PartRecipient[],
    fate: Fate,
    deliveries: readonly MailToDeliver[],
  ): Promise<boolean> {
    const [first] = recipients;
    if (first === undefined) return true;
    const { store, queue, clock } = this.#parts;
    const staged: Staged[] = [];
    const mark = newMailId();
    try {
      for (const mail of deliveries) staged.push(await queue.stage(mail));
      await store.transaction([
        ...recipients.map(({ position }) =>
          insertSettled({ spool: part.spool, position }, { ...fate, mark, at: clock() }),
        ),
        ...staged.flatMap(({ statements }) => statements),
      ]);
    } catch (error) {
      // A transaction that failed may have been written after all. Where nobody can say it, a staged mail looks by itself.
      const written = await readMark(store, part.spool, first.position).catch(() => null);
      if (written !== mark) {
        // What may yet be written keeps its octets.
        if (!(error instanceof InDoubt)) for (const one of staged) await one.dropped();
        if (await this.#isTaken(part, recipients)) return false;
        throw error;
      }
    }
    for (const one of staged) one.committed();
    this.#tell(part, recipients, fate);
    await this.#cleanUp(part);
    return true;
  }

  /** Removes what a crash left of mails that nobody waits for any more: their rows stay for some days. */
  async sweep(): Promise<void> {
    for (const { spool: name } of await this.#parts.store.query(settledFiles)) {
      await this.#parts.spool.remove(String(name));
    }
  }

  async #isTaken({ spool }: HeldPart, recipients: readonly PartRecipient[]): Promise<boolean> {
    const [now] = await this.parts([isOf(spool)]);
    const waiting = new Set(now?.recipients.filter(isWaiting).map(({ position }) => position));
    return recipients.some(({ position }) => !waiting.has(position));
  }

  /** One that stays is removed at the next start. */
  async #cleanUp({ spool: name }: HeldPart): Promise<void> {
    const [now] = await this.parts([isOf(name)]).catch(() => []);
    if (now !== undefined && !now.recipients.some(isWaiting)) await this.#parts.spool.remove(name);
  }

  #tell({ id, terms }: HeldPart, recipients: readonly PartRecipient[], { state, because, by }: Fate): void {
    this.#parts.log.write({
      ...{ event: 'held.settled', level: state === 'expired' ? 'warn' : 'info', mail: id, rule: terms.rule },
      ...{ recipients: recipients.length, state, because, by },
    });
  }
}

/** A mail has one part for each rule that held some of it. */
const MOST_PARTS = 1_000;

export function isWaiting({ state }: Pick<PartRecipient, 'state'>): boolean {
  return state === 'waiting';
}
