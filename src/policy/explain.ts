import { unreachable } from '../errors.ts';
import type { ConditionReport, Correspondence } from './conditions.ts';
import { decideForRecipients, type RecipientOutcome } from './decide-for-recipient.ts';
import { decideOutbound, type OutboundDecision, refusalBySender } from './decide-outbound.ts';
import type { OutboundFacts, RecipientFacts } from './facts.ts';
import { type JudgedCertificates, judgedCertificates } from './judged-certificates.ts';
import { conditionReports, correspondenceOf, matchRule } from './match.ts';
import { enumerated, quoted } from './quoted.ts';
import type { Rule, SignatureForm, SubjectConfidentiality } from './rules.ts';
import { type SteeringWord, type Strip, steeringWords } from './steering.ts';

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
  /** The rules up to the one that decides, in their order. */
  rules: readonly RuleExplanation[];
  /** The one that decides; null: none applied. */
  rule: string | null;
  /** What the author asks for, where the rule lets authors steer; null: it does not. */
  steering: readonly SteeringWord[] | null;
  /** null: it did not come to that. */
  outcome: RecipientOutcome | null;
  /** Who would be told of it. */
  notify: readonly string[];
  /** The archive that would get a copy of what leaves; null: none. */
  appendTo: string | null;
  /** What is known of the recipient's certificates, in words. */
  certificates: string;
};

export type RuleExplanation = {
  rule: string;
  /** `undecided`: nobody can tell for now. */
  applies: 'yes' | 'no' | 'undecided';
  /** All that the rule says, and what the mail is like. */
  conditions: readonly ConditionReport[];
};

export function explain(facts: OutboundFacts, rules: readonly Rule[]): Explanation {
  const decision = decideOutbound(facts, rules);
  const { from } = facts;
  if (from === null || refusalBySender(facts) !== null) return { decision, recipients: [] };
  const known = { ...facts, from };
  const correspondence = correspondenceOf(known);
  const recipients = decideForRecipients(known, rules).map(({ rule, outcome }, index) => {
    const recipient = facts.recipients[index] ?? NOBODY;
    const tried = rule === null ? rules : rules.slice(0, rules.indexOf(rule) + 1);
    return {
      address: recipient.address,
      rules: tried.map((one) => explainRule(one, correspondence(recipient))),
      rule: rule?.name ?? null,
      steering: rule?.steering == null ? null : steeringWords(rule.steering, facts.message),
      outcome,
      notify: rule?.notify ?? [],
      appendTo: outcome.kind === 'refuse' ? null : (rule?.appendTo ?? null),
      certificates: certificatesText(
        judgedCertificates(recipient.certificates, rule?.revocation ?? facts.revocation),
      ),
    };
  });
  return { decision, recipients };
}

const NOBODY: RecipientFacts = { address: '', groups: [], visible: true, certificates: { kind: 'none' } };

function explainRule(rule: Rule, correspondence: Correspondence): RuleExplanation {
  const { kind } = matchRule(rule, correspondence);
  return {
    rule: rule.name,
    applies: kind === 'applies' ? 'yes' : kind === 'passed' ? 'no' : 'undecided',
    conditions: conditionReports(rule, correspondence),
  };
}

/** For a terminal. No line holds control characters. @param further lines about what else is known of the recipient */
export function recipientLines(recipient: RecipientExplanation, further: readonly string[] = []): string[] {
  return [
    `To ${quoted(recipient.address)}`,
    ...recipient.rules.flatMap(ruleLines),
    ...(recipient.rule === null ? ['  no rule applies'] : []),
    ...(recipient.steering === null
      ? []
      : [`  the author asks for: ${enumerated(recipient.steering) || 'nothing'}`]),
    `  certificates: ${recipient.certificates}`,
    ...further,
    ...(recipient.outcome === null ? [] : [`  ${outcomeText(recipient.outcome)}`]),
    ...(recipient.appendTo === null ? [] : [`  a copy of what leaves goes into ${recipient.appendTo}`]),
    ...(recipient.notify.length === 0 ? [] : [`  told of it: ${enumerated(recipient.notify, 20)}`]),
  ];
}

const APPLIES: Readonly<Record<RuleExplanation['applies'], string>> = {
  yes: 'applies',
  no: 'does not apply',
  undecided: 'may apply, which nobody can tell for now',
};

const HOLDS: Readonly<Record<ConditionReport['holds'], string>> = {
  yes: 'yes',
  no: 'no',
  open: 'not known',
  away: 'not known for now',
};

function ruleLines({ rule, applies, conditions }: RuleExplanation): string[] {
  return [
    `  rule ${rule} ${APPLIES[applies]}`,
    ...conditions.map(
      ({ condition, holds, found }) => `    ${condition}: ${HOLDS[holds]}, ${quoted(found, 300)}`,
    ),
  ];
}

function outcomeText(outcome: RecipientOutcome): string {
  switch (outcome.kind) {
    case 'send': {
      const encrypted =
        outcome.certificate === null
          ? 'not encrypted'
          : `encrypted (certificate ${outcome.certificate + 1}), its Subject ${subjectText(outcome)}`;
      return `would be sent ${signedText(outcome)}, ${encrypted}${strippedText(outcome)}${tlsText(outcome)}`;
    }
    case 'hold': {
      const { because, terms, readable, introduce } = outcome;
      const { minTrust, revocation, requireTls } = terms;
      return [
        `would wait ${signedText(outcome)}${strippedText(outcome)}, since ${because}; it would leave encrypted, its Subject ${subjectText(terms)}${tlsText({ requireTls: requireTls !== 'no' })}, once a certificate of the trust ${minTrust} is known (revocation: ${revocation})`,
        ...(terms.ask ? [`its author would be asked${readable ? ', and may send it signed only' : ''}`] : []),
        ...(introduce ? ['a signed note of its author would ask for a signed answer'] : []),
      ].join('; ');
    }
    case 'as-is':
      return `would be forwarded as the mail program has protected it${tlsText(outcome)}`;
    case 'refuse':
      return `would be refused (${outcome.duration}): ${outcome.problem}`;
    default:
      return unreachable(outcome);
  }
}

function tlsText({ requireTls }: { requireTls: boolean }): string {
  return requireTls ? ', by TLS only' : '';
}

function signedText({ sign }: { sign: SignatureForm | null }): string {
  return sign === null ? 'not signed' : `signed (${sign})`;
}

function subjectText({ subject }: { subject: SubjectConfidentiality }): string {
  return `${subject === 'protect' ? 'hidden' : 'readable'} on the way`;
}

function strippedText({ strip }: { strip: Strip | null }): string {
  if (strip === null) return '';
  const { tags, field } = strip;
  const texts = [...tags.map((tag) => `[${tag}]`), ...(field === null ? [] : [`the field ${quoted(field)}`])];
  return `, without ${enumerated(texts, 10)}`;
}

function certificatesText(facts: JudgedCertificates): string {
  switch (facts.kind) {
    case 'usable':
      return facts.certificates.length === 0
        ? 'none'
        : `${facts.certificates.map(({ trust }) => trust).join(', ')}${facts.incomplete ? '; a source that may know others could not be asked' : ''}`;
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
