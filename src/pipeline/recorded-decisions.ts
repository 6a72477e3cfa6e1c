import type { Log } from '../log/log.ts';
import { decideForRecipients } from '../policy/decide-for-recipient.ts';
import { refusalBySender } from '../policy/decide-outbound.ts';
import { recordMail } from '../policy/recorded-mail.ts';
import type { JudgedSubmission } from './judge-submission.ts';
import { needsCertificates, type OutboundPolicy } from './outbound-policy.ts';
import type { DecisionRecords, Submission } from './ports.ts';

/**
 * Writes down what a decision rests on, for `policy replay`. It is no part of sending: nothing waits for it, and where it cannot be
 * written the mail goes all the same. Mail in somebody else's name is refused whatever the rules say, so it is not kept.
 */
export function recordDecision(
  { id, origin }: Submission,
  { facts }: JudgedSubmission,
  policy: OutboundPolicy,
  records: DecisionRecords,
  log: Log,
): void {
  const { from } = facts;
  if (from === null || refusalBySender(facts) !== null) return;
  const known = { ...facts, from };
  const decisions = decideForRecipients(known, policy.rules);
  const lookedFor = (address: string) => needsCertificates(origin, address, policy);
  const record = JSON.stringify(recordMail(known, policy.rules, decisions, lookedFor));
  records.record(id, record).catch((error: unknown) => {
    log.write({ event: 'policy.decision-not-recorded', level: 'warn', mail: id, reason: String(error) });
  });
}
