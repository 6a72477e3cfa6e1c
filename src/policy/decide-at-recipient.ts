import { decideEncryption } from './decide-for-recipient.ts';
import type { OutboundRefusal } from './decide-outbound.ts';
import type { CertificateFacts } from './facts.ts';
import { matchRule } from './match.ts';
import { quoted } from './quoted.ts';
import type { Rule } from './rules.ts';

/**
 * What can be said at RCPT TO, before the message is there: with `withoutCertificate: refuse-recipient` a client
 * learns at the recipient itself that there is no certificate, and can still drop it. Everything else, and every
 * recipient for whom a rule before it depends on the From address, is decided with the message.
 *
 * Refusing here also refuses mail that the client would have encrypted itself: the rule's author chose that.
 */
export function decideAtRecipient(
  login: string,
  recipient: string,
  certificates: CertificateFacts,
  rules: readonly Rule[],
): OutboundRefusal | null {
  for (const rule of rules) {
    const match = matchRule(rule.when, { login, from: null, recipient });
    if (match.kind === 'open') return null;
    if (match.kind === 'passed') continue;
    if (rule.withoutCertificate !== 'refuse-recipient') return null;
    const encryption = decideEncryption(rule, certificates);
    if (encryption.kind !== 'refuse') return null;
    return {
      kind: 'refuse',
      duration: encryption.duration,
      enhancedCode: encryption.enhancedCode,
      publicText: `To ${quoted(recipient)}: ${encryption.problem}. ${encryption.remedy}`,
      rule: rule.name,
      recipients: [],
    };
  }
  return null;
}
