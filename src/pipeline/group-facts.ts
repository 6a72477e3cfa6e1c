import { groupsOfAddress, groupsOfLogin } from '../policy/groups.ts';
import { type GroupRole, looksAt } from '../policy/looks-at.ts';
import type { Group } from '../policy/rules.ts';
import type { OutboundPolicy } from './outbound-policy.ts';
import type { GroupQuestion, GroupSubject } from './ports.ts';

/** The groups of one address or login, as far as any rule looks at them. */
export type GroupFacts = {
  in: readonly string[];
  /** Nobody knows for now whether it is in these. */
  unknown: readonly string[];
};

/** Asks where it is not known. Never rejects. */
export async function groupFacts(policy: OutboundPolicy, role: GroupRole, text: string): Promise<GroupFacts> {
  const { memberships } = policy;
  const subject = subjectOf(role, text);
  const named = namedIn(policy, subject);
  const asked = elsewhere(policy, role, named);
  if (asked.length === 0) return { in: named, unknown: [] };
  const answers = await Promise.all(asked.map(({ ldap }) => memberships?.ask(ldap, subject) ?? null));
  return withAnswers(named, asked, answers);
}

/** What is known at once. */
export function groupFactsNow(policy: OutboundPolicy, role: GroupRole, text: string): GroupFacts {
  const { memberships } = policy;
  const subject = subjectOf(role, text);
  const named = namedIn(policy, subject);
  const asked = elsewhere(policy, role, named);
  const answers = asked.map(({ ldap }) => memberships?.known(ldap, subject) ?? null);
  return withAnswers(named, asked, answers);
}

function subjectOf(role: GroupRole, text: string): GroupSubject {
  return { kind: role === 'login' ? 'login' : 'address', text };
}

function namedIn({ groups }: OutboundPolicy, { kind, text }: GroupSubject): readonly string[] {
  return kind === 'address' ? groupsOfAddress(groups, text) : groupsOfLogin(groups, text);
}

type GroupElsewhere = Group & { ldap: GroupQuestion };

/** Groups that a rule looks at, of which the configuration does not say that it is in them. */
function elsewhere(
  { groups, rules }: OutboundPolicy,
  role: GroupRole,
  named: readonly string[],
): readonly GroupElsewhere[] {
  if (!groups.some(isElsewhere)) return [];
  const wanted = looksAt(rules).groups[role];
  return groups.filter(isElsewhere).filter(({ name }) => wanted.has(name) && !named.includes(name));
}

function isElsewhere(group: Group): group is GroupElsewhere {
  return group.ldap != null;
}

function withAnswers(
  named: readonly string[],
  asked: readonly GroupElsewhere[],
  answers: readonly (boolean | null)[],
): GroupFacts {
  const of = (answer: boolean | null) =>
    asked.flatMap(({ name }, index) => (answers[index] === answer ? [name] : []));
  return { in: [...named, ...of(true)], unknown: of(null) };
}
