import type { Clock } from '../pipeline/ports.ts';
import { deliveryReport } from '../queue/delivery-report.ts';
import { newMessageId, type OwnMails } from '../queue/own-mail.ts';
import type { MailToDeliver } from '../queue/ports.ts';
import { parameterValue } from '../smtp/parameters.ts';
import type { HeldPart, PartRecipient } from './held-rows.ts';
import { readHeaderAlone } from './mail-header.ts';

export type ReportParts = {
  ownMails: Pick<OwnMails, 'address' | 'envelope' | 'compose'>;
  /** Of the gateway. */
  hostname: string;
  clock: Clock;
};

/**
 * What its sender is told of those who will not get it: a delivery status notification (RFC 3464), for whom one is wanted (RFC 3461 §4.1).
 * Of the mail it repeats no more than what it was called.
 *
 * @param expired it has waited long enough; else `because` of each says why
 * @param beginning of what waits, with all of its header; null: it cannot be read now
 */
export function failureReports(
  part: HeldPart,
  recipients: readonly PartRecipient[],
  { expired, beginning }: { expired: boolean; beginning: Buffer | null },
  { ownMails, hostname, clock }: ReportParts,
): MailToDeliver[] {
  const { id, reversePath: to, mailParameters, terms, heldAt, expiresAt } = part;
  const told = recipients.filter(({ recipient }) => wantsFailure(recipient));
  if (to === null || told.length === 0) return [];
  const octets = deliveryReport({
    action: 'failed',
    delivery: {
      ...{ mail: id, purpose: 'released', mailParameters: mailParameters.filter(isEnvelopeId) },
      ...{ requireTls: terms.requireTls, enqueuedAt: heldAt, expiresAt },
    },
    recipients: told.map(({ position, recipient, because }) => ({
      waiting: { position, recipient, because, reply: null },
      outcome: { recipient, kind: 'failed', reply: null, because },
      expired,
      ...(expired ? { reason: outOfTime(because) } : {}),
    })),
    original: beginning === null ? null : headerToShow(beginning, part.subject !== null),
    ...{ from: ownMails.address, to, hostname, server: hostname },
    ...{ messageId: newMessageId(hostname), now: clock() },
  });
  const report = ownMails.envelope({ id, purpose: 'report', to: [`${to.localPart}@${to.domain}`] }, octets);
  // RFC 8689 §5: what is said of such a mail travels as it had to.
  return [{ ...report, requireTls: terms.requireTls }];
}

function outOfTime(because: string): string {
  return `it has waited for as long as it may, and still could not be encrypted: ${because.replace(/\.$/, '')}. Ask for a digitally signed mail from there, which brings a certificate (where there is one already, ask the administrator of the mail gateway), and send your mail again.`;
}

/** Never the whole mail, whatever RET says: it waits because nobody may read it on its way. */
function isEnvelopeId({ keyword }: { keyword: string }): boolean {
  return keyword === 'ENVID';
}

function wantsFailure({ parameters }: PartRecipient['recipient']): boolean {
  const notify = parameterValue(parameters, 'NOTIFY')?.toUpperCase().split(',');
  return notify === undefined || notify.includes('FAILURE');
}

const SHOWN: ReadonlySet<string> = new Set(['date', 'from', 'to', 'cc', 'message-id']);

function headerToShow(octets: Buffer, withSubject: boolean): Buffer {
  const { header, fields } = readHeaderAlone(octets);
  const lines = fields
    .filter(({ name }) => SHOWN.has(name.toLowerCase()) || (withSubject && name.toLowerCase() === 'subject'))
    .map(({ range }) => header.subarray(range.start, range.end));
  return Buffer.concat([...lines, Buffer.from('\r\n')]);
}
