import { unreachable } from '../errors.ts';
import { decideForRecipient, type RecipientOutcome } from './decide-for-recipient.ts';
import { decideOutbound, type OutboundDecision, refusalBySender } from './decide-outbound.ts';
import type { CertificateFacts, OutboundFacts } from './facts.ts';
import { quoted } from './quoted.ts';
import type { Rule } from './rules.ts';

/**
 * "What would happen to a mail from A to B, and why": the decision itself, with the way that led to it. There is no
 * second implementation of the rules that could say something else.
 */
export type Explanation = {
  decision: OutboundDecision;
  /** One for each recipient; empty when the sender alone decides. */
  recipients: readonly RecipientExplanation[];
};

export type RecipientExplanation = {
  address: string;
  /** Rules that were tried and passed over, with the reason. */
  passed: readonly { rule: string; because: string }[];
  /** null: none applied. */
  rule: string | null;
  outcome: RecipientOutcome;
  /** What is known of the recipient's certificates, in words. */
  certificates: string;
};

export function explain(facts: OutboundFacts, rules: readonly Rule[]): Explanation {
  const decision = decideOutbound(facts, rules);
  const { from } = facts;
  if (from === null || refusalBySender(facts) !== null) return { decision, recipients: [] };
  const recipients = facts.recipients.map((recipient) => {
    const { rule, passed, outcome } = decideForRecipient({ ...facts, from }, recipient, rules);
    return {
      address: recipient.address,
      passed,
      rule: rule?.name ?? null,
      outcome,
      certificates: certificatesText(recipient.certificates),
    };
  });
  return { decision, recipients };
}

/** For a terminal. No line holds control characters. */
export function explanationLines({ decision, recipients }: Explanation): string[] {
  const lines = recipients.flatMap((recipient) => [
    `To ${quoted(recipient.address)}`,
    ...recipient.passed.map(({ rule, because }) => `  rule ${rule} does not apply: ${quoted(because)}`),
    recipient.rule === null ? '  no rule applies' : `  rule ${recipient.rule} applies`,
    `  certificates: ${recipient.certificates}`,
    `  ${outcomeText(recipient.outcome)}`,
  ]);
  return [...lines, decisionText(decision)];
}

function outcomeText(outcome: RecipientOutcome): string {
  switch (outcome.kind) {
    case 'send': {
      const signed = outcome.sign === null ? 'not signed' : `signed (${outcome.sign})`;
      const encrypted =
        outcome.certificate === null
          ? 'not encrypted'
          : `encrypted (certificate ${outcome.certificate + 1}), its Subject ${outcome.subject === 'protect' ? 'hidden' : 'readable'} on the way`;
      return `would be sent ${signed}, ${encrypted}`;
    }
    case 'as-is':
      return 'would be forwarded as the mail program has protected it';
    case 'refuse':
      return `would be refused (${outcome.duration}): ${outcome.problem}`;
    default:
      return unreachable(outcome);
  }
}

function decisionText(decision: OutboundDecision): string {
  switch (decision.kind) {
    case 'deliver': {
      const count = decision.variants.length;
      return count === 1 ? 'One message would leave.' : `${count} messages would leave.`;
    }
    case 'forward-unchanged':
      return 'The mail would leave as it came.';
    case 'refuse':
      return `The mail would be refused (${decision.enhancedCode}): ${decision.publicText}`;
    default:
      return unreachable(decision);
  }
}

function certificatesText(facts: CertificateFacts): string {
  switch (facts.kind) {
    case 'usable':
      return facts.certificates.length === 0
        ? 'none'
        : facts.certificates.map(({ trust }) => trust).join(', ');
    case 'none':
      return 'none';
    case 'unusable':
      return `none that can be encrypted to: ${quoted(facts.because, 300)}`;
    case 'unchecked':
      return `not known whether they have been revoked: ${quoted(facts.because, 300)}`;
    case 'lookup-failed':
      return 'could not be looked up';
    default:
      return unreachable(facts);
  }
}
