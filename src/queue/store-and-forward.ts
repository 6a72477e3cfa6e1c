import { limits } from '../limits.ts';
import { collectFrom } from '../octets/collect.ts';
import type { Clock, Keeping, StoreAndForward, Submission, Variant } from '../pipeline/ports.ts';
import type { TlsDemand } from '../policy/rules.ts';
import { hasParameter } from '../smtp/parameters.ts';
import { type Reply, reply, summary } from '../smtp/reply.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { deliveryReport } from './delivery-report.ts';
import { commitStaged } from './durable-queue.ts';
import { newMessageId, type OwnMails } from './own-mail.ts';
import type { MailToDeliver, Purpose, Queue, Staged } from './ports.ts';
import type { Room } from './room.ts';
import { asksFor } from './settle.ts';

export type SubmittedMailParts = {
  store: SqlStore;
  queue: Pick<Queue, 'stage'>;
  ownMails: Pick<OwnMails, 'address' | 'envelope'>;
  room: Room;
  hostname: string;
  /** Name of the mail server, for reports. */
  server: string;
  /** How long a delivery is tried. */
  days: number;
  clock: Clock;
};

type Of = Parameters<StoreAndForward['begin']>[0];

const DAY_MS = 24 * 60 * 60 * 1000;

/** Mail that the gateway answers for itself: it is in the queue, whole, before its client hears of it. */
export class SubmittedMail implements StoreAndForward {
  readonly #parts: SubmittedMailParts;

  constructor(parts: SubmittedMailParts) {
    this.#parts = parts;
  }

  begin(of: Of): Keeping {
    return new KeepingMail(of, this.#parts);
  }

  async full(octets: number): Promise<Reply | null> {
    const why = await this.#parts.room.missing(octets);
    if (why === null) return null;
    return reply(452, '4.3.1', 'The gateway has no room for the message just now; try again later');
  }
}

class KeepingMail implements Keeping {
  readonly #of: Of;
  readonly #parts: SubmittedMailParts;
  readonly #staged: Staged[] = [];

  constructor(of: Of, parts: SubmittedMailParts) {
    this.#of = of;
    this.#parts = parts;
  }

  async add({ recipients, octets, requireTls, opened }: Variant): Promise<void> {
    const { queue, room } = this.#parts;
    await room.check(octets.length);
    const { id, envelope } = this.#of;
    this.#staged.push(
      await queue.stage({
        ...{ id, purpose: purposeOf({ opened }), way: { kind: 'smtp' }, octets },
        envelope: { ...envelope, recipients },
        requireTls: demandOf(requireTls, this.#of),
        expiresAt: this.#expiresAt(),
      }),
    );
  }

  async fail(variant: Variant, said: Reply): Promise<void> {
    const mail = await this.#report(variant, said);
    if (mail !== null) this.#staged.push(await this.#parts.queue.stage(mail));
  }

  async commit(): Promise<void> {
    const staged = this.#staged.splice(0);
    if (staged.length > 0) await commitStaged(this.#parts.store, staged);
  }

  async drop(): Promise<void> {
    for (const one of this.#staged.splice(0)) await one.dropped();
  }

  /** null: nobody wants to hear of it (RFC 3461 §4.1, RFC 5321 §4.5.5). */
  async #report(
    { recipients, octets, requireTls, opened }: Variant,
    said: Reply,
  ): Promise<MailToDeliver | null> {
    const { ownMails, hostname, server, clock } = this.#parts;
    const { id, envelope } = this.#of;
    const { reversePath: to, mailParameters } = envelope;
    const because = `the mail server said: ${summary(said)}`;
    const told = recipients.flatMap((recipient, position) => {
      const waiting = { position, recipient, because: null, reply: null };
      const outcome = { recipient, kind: 'failed' as const, reply: said, because };
      return asksFor({ waiting }, 'FAILURE') ? [{ waiting, outcome, expired: false }] : [];
    });
    if (to === null || told.length === 0) return null;
    const tls = demandOf(requireTls, this.#of);
    const now = clock();
    const report = deliveryReport({
      ...{ action: 'failed', recipients: told, to, from: ownMails.address, hostname, server, now },
      delivery: {
        ...{ mail: id, purpose: purposeOf({ opened }), mailParameters, requireTls: tls },
        ...{ enqueuedAt: now, expiresAt: this.#expiresAt() },
      },
      original: await collectFrom(octets, 0, Math.min(octets.length, limits.queue.returnedOctets + 1)),
      messageId: newMessageId(hostname),
    });
    const address = `${to.localPart}@${to.domain}`;
    // RFC 8689 §5: what is said of such a mail travels as it had to.
    return { ...ownMails.envelope({ id, purpose: 'report', to: [address] }, report), requireTls: tls };
  }

  #expiresAt(): Date {
    const { clock, days } = this.#parts;
    return new Date(clock().getTime() + days * DAY_MS);
  }
}

function purposeOf({ opened }: Pick<Variant, 'opened'>): Purpose {
  return opened === true ? 'opened' : 'submitted';
}

/** What the client has asked for (RFC 8689 §4.1), or the rule. */
function demandOf(requireTls: boolean, { envelope }: Pick<Submission, 'envelope'>): TlsDemand {
  if (hasParameter(envelope.mailParameters, 'REQUIRETLS')) return 'onward';
  return requireTls ? 'upstream' : 'no';
}
