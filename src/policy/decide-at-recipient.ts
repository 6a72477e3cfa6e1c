import { decideEncryption } from './decide-for-recipient.ts';
import type { OutboundRefusal } from './decide-outbound.ts';
import type { OriginFacts, RecipientFacts } from './facts.ts';
import { earlyCorrespondence, firstRule } from './match.ts';
import { quoted } from './quoted.ts';
import type { Rule } from './rules.ts';

/**
 * What can be said at RCPT TO, before the message is there: with `withoutCertificate: refuse-recipient` a client
 * learns at the recipient itself that there is no certificate, and can still drop it. Everything else, and every
 * recipient for whom a rule before it depends on the message, is decided with the message.
 *
 * Refusing here also refuses mail that the client would have encrypted itself: the rule's author chose that.
 */
export function decideAtRecipient(
  origin: OriginFacts,
  recipient: Pick<RecipientFacts, 'address' | 'groups' | 'groupsAway' | 'certificates'>,
  rules: readonly Rule[],
): OutboundRefusal | null {
  const found = firstRule(rules, earlyCorrespondence(origin, recipient));
  if (found.kind !== 'rule' || found.rule.withoutCertificate !== 'refuse-recipient') return null;
  const { rule } = found;
  // What the author asks for stands in the message.
  if (rule.steering?.mayLower === true) return null;
  const encryption = decideEncryption(rule, recipient.certificates, origin.revocation);
  if (encryption.kind !== 'refuse') return null;
  return {
    kind: 'refuse',
    duration: encryption.duration,
    enhancedCode: encryption.enhancedCode,
    publicText: `To ${quoted(recipient.address)}: ${encryption.problem}. ${encryption.remedy}`,
    rule: rule.name,
    recipients: [],
  };
}
