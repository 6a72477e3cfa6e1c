import { decideAtRecipient } from '../policy/decide-at-recipient.ts';
import type { OutboundRefusal } from '../policy/decide-outbound.ts';
import type { Recipient } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import { type OutboundPolicy, originFacts, recipientGroups } from './outbound-policy.ts';
import type { Clock, Origin } from './ports.ts';
import { addressOf, type RecipientLookups } from './recipient-certificates.ts';
import { asciiText } from './refusal.ts';

/**
 * The judgement at RCPT TO, for rules with `withoutCertificate: refuse-recipient`: the client learns at the recipient itself
 * that there is no certificate, and can still send to the others. Everything else is judged with the message, this again.
 */
export function judgeRecipient(
  origin: Origin,
  recipient: Recipient,
  lookups: RecipientLookups,
  policy: OutboundPolicy,
  clock: Clock,
): Promise<Reply | null> | null {
  const wanted = policy.rules.some(
    ({ encrypt, withoutCertificate }) => encrypt === 'require' && withoutCertificate === 'refuse-recipient',
  );
  return wanted ? judge(origin, recipient, lookups, policy, clock) : null;
}

async function judge(
  origin: Origin,
  recipient: Recipient,
  lookups: RecipientLookups,
  policy: OutboundPolicy,
  clock: Clock,
): Promise<Reply | null> {
  const address = addressOf(recipient);
  // First, since it depends on them whose certificates are looked at.
  const [originated, groups] = await Promise.all([
    originFacts(origin, policy),
    recipientGroups(policy, address),
  ]);
  const certificates = await lookups.known(origin, recipient, clock());
  const refusal = decideAtRecipient(originated, { address, certificates, ...groups }, policy.rules);
  return refusal === null ? null : refusalAtRecipient(refusal);
}

export function refusalAtRecipient(refusal: OutboundRefusal): Reply {
  // RFC 5321 §4.3.3: 450 and 550 at RCPT.
  const code = refusal.duration === 'temporary' ? 450 : 550;
  return { code, lines: [`${refusal.enhancedCode} ${asciiText(refusal.publicText)}`.slice(0, 500)] };
}
