import type { Log } from '../log/log.ts';
import { decideForRecipients } from '../policy/decide-for-recipient.ts';
import { refusalBySender } from '../policy/decide-outbound.ts';
import { mayEncrypt } from '../policy/may-encrypt.ts';
import { recordMail } from '../policy/recorded-mail.ts';
import type { JudgedSubmission } from './judge-submission.ts';
import type { OutboundPolicy } from './outbound-policy.ts';
import type { DecisionRecords, Submission } from './ports.ts';

/**
 * Writes down what a decision rests on, for `policy replay`. It is no part of sending: nothing waits for it, and where it cannot be
 * written the mail goes all the same. Mail in somebody else's name is refused whatever the rules say, so it is not kept.
 */
export function recordDecision(
  { id }: Submission,
  { facts }: JudgedSubmission,
  policy: OutboundPolicy,
  records: DecisionRecords,
  log: Log,
): void {
  const { from } = facts;
  if (from === null || refusalBySender(facts) !== null) return;
  const known = { ...facts, from };
  const decisions = decideForRecipients(known, policy.rules);
  const lookedFor = new Set(
    facts.recipients
      .filter((recipient) => mayEncrypt(facts, recipient, policy.rules))
      .map(({ address }) => address),
  );
  const record = JSON.stringify(
    recordMail(known, policy.rules, decisions, (address) => lookedFor.has(address)),
  );
  records.record(id, record).catch((error: unknown) => {
    log.write({ event: 'policy.decision-not-recorded', level: 'warn', mail: id, reason: String(error) });
  });
}
