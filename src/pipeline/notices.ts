import type { MailId } from '../ids.ts';
import { decideForRecipients, type RecipientOutcome } from '../policy/decide-for-recipient.ts';
import { refusalBySender } from '../policy/decide-outbound.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type Reply, replyClass } from '../smtp/reply.ts';
import type { HandedOver } from './hand-over.ts';
import type { JudgedSubmission } from './judge-submission.ts';
import type { OutboundPolicy } from './outbound-policy.ts';
import type { Submission } from './ports.ts';

/** Who wants to hear of the mails that a rule decides about (`notify`): what the story out needs of whoever tells them. */
export interface Notices {
  /** Durable when the promise resolves, or the log says why not: the mail has gone its way. Never rejects. */
  tell(decided: DecidedMail): Promise<void>;
}

/** A mail without its Subject and text. */
export type DecidedMail = {
  id: MailId;
  from: string;
  login: string;
  at: Date;
  /** Those whose rule wants somebody told, in the order of the envelope. */
  recipients: readonly DecidedRecipient[];
  /** What the mail program was told. */
  reply: Reply;
};

export type DecidedRecipient = {
  address: string;
  rule: string;
  /** Addresses. */
  notify: readonly string[];
  became: Became;
};

export type Became =
  | { kind: 'sent'; signed: boolean; encrypted: boolean }
  /** As the mail program had protected it. */
  | { kind: 'sent-as-it-came' }
  /** Until there is a certificate. */
  | { kind: 'waits' }
  | { kind: 'not-sent' };

/**
 * What is to be told of a mail, and whether anything is: of one that is refused only for now nothing, since its mail program comes again with
 * it.
 */
export function decidedMail(
  { id, origin }: Submission,
  { facts, findings }: JudgedSubmission,
  { rules }: OutboundPolicy,
  { reply, has, waits }: Pick<HandedOver, 'reply' | 'has' | 'waits'>,
): DecidedMail | null {
  const { from } = facts;
  if (from === null || !rules.some(({ notify }) => notify.length > 0)) return null;
  if (has.length + waits.length === 0 && replyClass(reply) === 'temporary') return null;
  // In somebody else's name it is refused whatever the rules say.
  if (refusalBySender(facts) !== null) return null;
  const decisions = decideForRecipients({ ...facts, from }, rules);
  const recipients = findings.recipients.flatMap((recipient, i): DecidedRecipient[] => {
    const decision = decisions[i];
    const address = facts.recipients[i]?.address;
    if (decision === undefined || address === undefined) return [];
    const { rule, outcome } = decision;
    if (rule === null || rule.notify.length === 0) return [];
    const became = becameOf(recipient, outcome, { has, waits });
    return [{ address, rule: rule.name, notify: rule.notify, became }];
  });
  return recipients.length === 0
    ? null
    : { id, from, login: origin.principal.login, at: findings.at, recipients, reply };
}

function becameOf(
  recipient: Recipient,
  outcome: RecipientOutcome,
  { has, waits }: Pick<HandedOver, 'has' | 'waits'>,
): Became {
  if (waits.includes(recipient)) return { kind: 'waits' };
  if (!has.includes(recipient)) return { kind: 'not-sent' };
  if (outcome.kind !== 'send') return { kind: 'sent-as-it-came' };
  return { kind: 'sent', signed: outcome.sign !== null, encrypted: outcome.certificate !== null };
}
