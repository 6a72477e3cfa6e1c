import { type ConditionReport, type Correspondence, plainHolds, plainReports } from './conditions.ts';
import type { OriginFacts, OutboundFacts, RecipientFacts } from './facts.ts';
import { patternSubject } from './patterns.ts';
import type { Rule } from './rules.ts';
import { both, either, negated, type Truth } from './truth.ts';

/** Whether a rule applies, and which is the first. */

export type Match =
  | { kind: 'applies' }
  | { kind: 'passed' }
  /** Only the message itself can tell. */
  | { kind: 'open' }
  /** Nobody can tell for now: a look-up failed. */
  | { kind: 'away' };

const MATCHES: Readonly<Record<Truth, Match>> = {
  yes: { kind: 'applies' },
  no: { kind: 'passed' },
  open: { kind: 'open' },
  away: { kind: 'away' },
};

/** Whether one rule applies. What certainly fails outweighs what is not known. */
export function matchRule(rule: Pick<Rule, 'when' | 'revocation'>, of: Correspondence): Match {
  return MATCHES[holds(rule, judgedBy(rule, of))];
}

/** Every condition of a rule, with what it found. */
export function conditionReports(
  rule: Pick<Rule, 'when' | 'revocation'>,
  of: Correspondence,
): ConditionReport[] {
  const { not, anyOf, ...plain } = rule.when;
  const judged = judgedBy(rule, of);
  return [
    ...plainReports(plain, judged),
    ...(not === null ? [] : plainReports(not, judged, 'not.')),
    ...(anyOf ?? []).flatMap((one, index) => plainReports(one, judged, `anyOf[${index}].`)),
  ];
}

/** The rule that decides, or the one of which nobody can tell whether it does. */
export type FirstRule =
  | { kind: 'rule'; rule: Rule }
  | { kind: 'none' }
  | { kind: 'undecided'; rule: Rule; match: 'open' | 'away' };

export function firstRule(rules: readonly Rule[], of: Correspondence): FirstRule {
  for (const rule of rules) {
    const { kind } = matchRule(rule, of);
    if (kind === 'applies') return { kind: 'rule', rule };
    if (kind !== 'passed') return { kind: 'undecided', rule, match: kind };
  }
  return { kind: 'none' };
}

/** What conditions look at, once the message is there. */
export function correspondenceOf(
  facts: OutboundFacts & { from: string },
): (recipient: RecipientFacts) => Correspondence {
  const { principal, loginGroups, listener, fromGroups, message, protection, revocation } = facts;
  const from = patternSubject(facts.from);
  const { fromGroupsAway = [], loginGroupsAway = [] } = facts;
  return (recipient) => ({
    // Written out: for each of a thousand recipients.
    login: principal.login,
    loginGroups,
    loginGroupsAway,
    listener,
    from,
    fromGroups,
    fromGroupsAway,
    message,
    protection,
    revocation,
    recipient: patternSubject(recipient.address),
    recipientGroups: recipient.groups,
    recipientGroupsAway: recipient.groupsAway ?? [],
    certificates: recipient.certificates,
  });
}

/** What conditions look at, at RCPT TO. @param recipient certificates null: not looked for yet */
export function earlyCorrespondence(
  { principal, loginGroups, loginGroupsAway = [], listener, revocation }: OriginFacts,
  recipient: Pick<RecipientFacts, 'address' | 'groups' | 'groupsAway'> & {
    certificates: RecipientFacts['certificates'] | null;
  },
): Correspondence {
  return {
    ...{ login: principal.login, loginGroups, loginGroupsAway, listener, revocation },
    recipientGroupsAway: recipient.groupsAway ?? [],
    ...{ from: null, fromGroups: [], message: null, protection: null },
    recipient: patternSubject(recipient.address),
    recipientGroups: recipient.groups,
    certificates: recipient.certificates,
  };
}

function holds({ when }: Pick<Rule, 'when'>, of: Correspondence): Truth {
  const plain = plainHolds(when, of);
  if (plain === 'no' || (when.not === null && when.anyOf === null)) return plain;
  const excepted = when.not === null ? 'no' : plainHolds(when.not, of);
  const one = (when.anyOf ?? []).map((each) => plainHolds(each, of)).reduce(either, 'no');
  return both(both(plain, negated(excepted)), when.anyOf === null ? 'yes' : one);
}

function judgedBy({ revocation }: Pick<Rule, 'revocation'>, of: Correspondence): Correspondence {
  return revocation === null || revocation === of.revocation ? of : { ...of, revocation };
}
