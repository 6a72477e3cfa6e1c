import { decideForRecipients } from './decide-for-recipient.ts';
import type { OutboundFacts, RecipientFacts } from './facts.ts';
import { groupsOfAddress, groupsOfLogin } from './groups.ts';
import { conditionsOf } from './looks-at.ts';
import { correspondenceOf, firstRule } from './match.ts';
import { type RecordedMail, type RecordedRecipient, type Treatment, treatmentOf } from './recorded-mail.ts';
import type { Group, Rule } from './rules.ts';
import { steeredRule } from './steering.ts';
import { meet } from './truth.ts';

/** A mail of the past under other rules: what would be different. What nobody looked at then is unknown, and is not guessed. */

export type ReplayedRecipient = {
  address: string;
  was: Treatment;
  /** `unknown`: what this rule looks at was not kept, because no rule looked at it then. */
  now: Treatment | { kind: 'unknown'; rule: string };
};

export function replayMail(
  mail: RecordedMail,
  rules: readonly Rule[],
  groups: readonly Group[],
): readonly ReplayedRecipient[] {
  return mail.recipients.map((recipient) => ({
    address: recipient.address,
    was: recipient.treatment,
    now: treatmentNow(mail, recipient, rules, groups),
  }));
}

/** Whether a recipient would be treated otherwise; another rule that does the same is no difference. */
export function isDifferent({ was, now }: ReplayedRecipient): boolean {
  return JSON.stringify({ ...was, rule: null }) !== JSON.stringify({ ...now, rule: null });
}

function treatmentNow(
  mail: RecordedMail,
  recorded: RecordedRecipient,
  rules: readonly Rule[],
  groups: readonly Group[],
): ReplayedRecipient['now'] {
  const recipient: RecipientFacts = {
    ...{ address: recorded.address, visible: recorded.visible },
    ...{ groups: groupsOfAddress(groups, recorded.address), groupsAway: elsewhere(groups, 'addresses') },
    certificates: recorded.certificates ?? { kind: 'none' },
  };
  const facts = factsOf(mail, recipient, groups);
  const correspondence = { ...correspondenceOf(facts)(recipient), certificates: recorded.certificates };
  const found = firstRule(rules, correspondence);
  if (found.kind === 'undecided' && (found.match === 'open' || isOfGroupsElsewhere(found.rule, groups))) {
    return { kind: 'unknown', rule: found.rule.name };
  }
  if (found.kind === 'rule') {
    const rule = steeredRule(found.rule, facts.message);
    const isAsked = rule?.encrypt !== 'never' && mail.protection !== 'encrypted';
    if (rule === null || (isAsked && recorded.certificates === null)) {
      return { kind: 'unknown', rule: found.rule.name };
    }
  }
  const [decision] = decideForRecipients(facts, rules);
  return decision === undefined
    ? { kind: 'unknown', rule: '' }
    : treatmentOf(decision, recipient.certificates);
}

/** Names of groups of whose addresses, or logins, a directory knows. */
function elsewhere(groups: readonly Group[], whose: 'addresses' | 'logins'): readonly string[] {
  return groups.flatMap(({ name, ldap }) => (ldap == null || ldap[whose] === null ? [] : [name]));
}

function isOfGroupsElsewhere(rule: Rule, groups: readonly Group[]): boolean {
  const [ofAddresses, ofLogins] = [elsewhere(groups, 'addresses'), elsewhere(groups, 'logins')];
  return conditionsOf(rule).some(
    ({ recipientGroup, senderGroup, loginGroup }) =>
      [recipientGroup, senderGroup].some((wanted) => meet(wanted ?? [], ofAddresses)) ||
      meet(loginGroup ?? [], ofLogins),
  );
}

function factsOf(
  mail: RecordedMail,
  recipient: RecipientFacts,
  groups: readonly Group[],
): OutboundFacts & { from: string } {
  const { login, listener, from, octets, protection, revocation, upstream, signing, header, tags } = mail;
  return {
    ...{ principal: { login }, listener, from, protection, revocation, upstream },
    loginGroups: groupsOfLogin(groups, login),
    fromGroups: groupsOfAddress(groups, from),
    // Who was in them is not kept.
    ...{ loginGroupsAway: elsewhere(groups, 'logins'), fromGroupsAway: elsewhere(groups, 'addresses') },
    // Whether somebody may write under a name is no matter of rules.
    ...{ sender: null, belongs: [from] },
    message: {
      ...{ octets, tags, attachments: mail.attachments },
      header: { kind: 'outcomes', of: new Map(Object.entries(header)) },
    },
    signing: signing.kind === 'available' ? signing : { ...signing, publicText: '' },
    recipients: [recipient],
  };
}
