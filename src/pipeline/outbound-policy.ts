import type { OriginFacts, RecipientFacts, RevocationFailure } from '../policy/facts.ts';
import { mayEncrypt } from '../policy/may-encrypt.ts';
import type { Group, Rule } from '../policy/rules.ts';
import { type GroupFacts, groupFacts, groupFactsNow } from './group-facts.ts';
import type { Memberships, Origin } from './ports.ts';

/** The rules with what they are read by. One mail is decided by one of these from its beginning to its end. */
export type OutboundPolicy = {
  rules: readonly Rule[];
  groups: readonly Group[];
  /** Who is asked about groups that are kept elsewhere; null: nobody, so that nobody knows who is in them. */
  memberships: Memberships | null;
  /** For rules that say nothing of it. */
  revocation: RevocationFailure;
};

/** What is known at RCPT TO; groups elsewhere are asked where that is not known yet. */
export async function originFacts(origin: Origin, policy: OutboundPolicy): Promise<OriginFacts> {
  return withGroups(origin, policy, await groupFacts(policy, 'login', origin.principal.login));
}

function withGroups(
  { principal, listener }: Origin,
  policy: OutboundPolicy,
  groups: GroupFacts,
): OriginFacts {
  const { revocation } = policy;
  return { principal, listener, revocation, loginGroups: groups.in, loginGroupsAway: groups.unknown };
}

/** The groups of a recipient. */
export async function recipientGroups(
  policy: OutboundPolicy,
  address: string,
): Promise<Pick<RecipientFacts, 'groups' | 'groupsAway'>> {
  const groups = await groupFacts(policy, 'recipient', address);
  return { groups: groups.in, groupsAway: groups.unknown };
}

/** Asks for the groups that the decision will look at, so that they are known by then. */
export function expectGroups(origin: Origin, address: string, policy: OutboundPolicy): void {
  // Neither rejects: whoever is asked later says what came of it.
  void groupFacts(policy, 'login', origin.principal.login);
  void groupFacts(policy, 'recipient', address);
}

/** Whether certificates of `address` can make a difference, by what is known of groups at once. */
export function needsCertificates(origin: Origin, address: string, policy: OutboundPolicy): boolean {
  const own = groupFactsNow(policy, 'recipient', address);
  const facts = withGroups(origin, policy, groupFactsNow(policy, 'login', origin.principal.login));
  return mayEncrypt(facts, { address, groups: own.in, groupsAway: own.unknown }, policy.rules);
}
