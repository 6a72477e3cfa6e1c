import type { Log } from '../log/log.ts';
import type { ArchiveCopies, CopyToKeep, KeptCopies } from '../pipeline/archive-copies.ts';
import type { DeliveryId, MailToDeliver, Queue } from '../queue/ports.ts';
import { type Archive, checkArchives } from './archive.ts';

export type QueuedCopiesParts = {
  archives: readonly Pick<Archive, 'name' | 'login'>[];
  queue: Pick<Queue, 'enqueue' | 'begin' | 'withdraw'>;
  /** How long a copy is tried. */
  days: number;
  clock: () => Date;
  log: Log;
};

const DAY_MS = 24 * 60 * 60 * 1000;

/** Longer than any hand-over: after a crash in the middle of one, its copies go into their archives then. */
const HAND_OVER_MS = 60 * 60 * 1000;

/** Copies that wait in the queue: until the mail has left, and then for their archives. */
export class QueuedCopies implements ArchiveCopies {
  readonly #parts: QueuedCopiesParts;

  constructor(parts: QueuedCopiesParts) {
    this.#parts = parts;
  }

  check(login: string, archives: readonly string[]): void {
    checkArchives(this.#parts.archives, login, archives);
  }

  async keep(copy: CopyToKeep): Promise<KeptCopies> {
    const { queue } = this.#parts;
    this.check(copy.login, copy.archives);
    const deliveries = await queue.enqueue(copy.archives.map((archive) => this.#mail(copy, archive)));
    return {
      left: () => queue.begin(deliveries),
      takenBack: () => this.#takeBack(copy, deliveries),
    };
  }

  #mail({ id, login, requireTls, octets }: CopyToKeep, name: string): MailToDeliver {
    const { days, clock } = this.#parts;
    const now = clock().getTime();
    return {
      ...{ id, purpose: 'archive', way: { kind: 'append', archive: name, login }, requireTls, octets },
      envelope: {
        ...{ reversePath: null, mailParameters: [] },
        recipients: [{ mailbox: { localPart: name, domain: '' }, parameters: [] }],
      },
      notBefore: new Date(now + HAND_OVER_MS),
      expiresAt: new Date(now + days * DAY_MS),
    };
  }

  async #takeBack({ id }: CopyToKeep, deliveries: readonly DeliveryId[]): Promise<void> {
    const { queue, log } = this.#parts;
    try {
      await queue.withdraw(deliveries);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.write({ event: 'archive.not-taken-back', level: 'error', mail: id, reason });
    }
  }
}
