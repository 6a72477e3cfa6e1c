import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { collectFrom } from '../octets/collect.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Clock } from '../pipeline/ports.ts';
import { deliveryReport } from './delivery-report.ts';
import type { Delivery } from './delivery-rows.ts';
import { newMessageId, type OwnMails } from './own-mail.ts';
import type { Queue, SealedSpool, Staged } from './ports.ts';
import type { Settled } from './settle.ts';

export type ReportParts = {
  queue: Pick<Queue, 'stage'>;
  spool: SealedSpool;
  ownMails: Pick<OwnMails, 'address' | 'envelope'>;
  /** Of this gateway. */
  hostname: string;
  /** Name of the mail server, for reports. */
  server: string;
  clock: Clock;
};

/** Reports of what one attempt has led to, in the spool. @throws SealgateError `queue.*`, temporary; nothing is kept then */
export async function stageReports(
  { reports }: Settled,
  delivery: Delivery,
  octets: OctetSource | null,
  { queue, spool, ownMails, hostname, server, clock }: ReportParts,
): Promise<Staged[]> {
  const { reversePath: to, mail } = delivery;
  const staged: Staged[] = [];
  if (to === null || reports.length === 0) return staged;
  try {
    const source = delivery.purpose === 'opened' ? null : (octets ?? (await readable(spool, delivery)));
    // One octet more than ever comes back: it is seen that there are too many.
    const most = Math.min(source?.length ?? 0, limits.queue.returnedOctets + 1);
    const original = source === null ? null : await collectFrom(source, 0, most);
    for (const { action, recipients } of reports) {
      const report = deliveryReport({
        ...{ action, recipients, delivery, original, from: ownMails.address, to, hostname, server },
        ...{ messageId: newMessageId(hostname), now: clock() },
      });
      const address = `${to.localPart}@${to.domain}`;
      const enveloped = ownMails.envelope({ id: mail, purpose: 'report', to: [address] }, report);
      // RFC 8689 §5: what is said of such a mail travels as it had to.
      staged.push(await queue.stage({ ...enveloped, requireTls: delivery.requireTls }));
    }
    return staged;
  } catch (error) {
    for (const one of staged) await one.dropped();
    throw error;
  }
}

/** null: not now, or not any more; the report goes without it. */
async function readable(spool: SealedSpool, { spool: name, mail }: Delivery): Promise<OctetSource | null> {
  try {
    return await spool.read(name, mail);
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    return null;
  }
}
