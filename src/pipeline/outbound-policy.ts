import type { OriginFacts, RevocationFailure } from '../policy/facts.ts';
import { groupsOfAddress, groupsOfLogin } from '../policy/groups.ts';
import { mayEncrypt } from '../policy/may-encrypt.ts';
import type { Group, Rule } from '../policy/rules.ts';
import type { Origin } from './ports.ts';

/** The rules with what they are read by. One mail is decided by one of these from its beginning to its end. */
export type OutboundPolicy = {
  rules: readonly Rule[];
  groups: readonly Group[];
  /** For rules that say nothing of it. */
  revocation: RevocationFailure;
};

/** What is known at RCPT TO. */
export function originFacts({ principal, listener }: Origin, policy: OutboundPolicy): OriginFacts {
  const { groups, revocation } = policy;
  return { principal, listener, revocation, loginGroups: groupsOfLogin(groups, principal.login) };
}

/** Whether certificates of `address` can make a difference. */
export function needsCertificates(origin: Origin, address: string, policy: OutboundPolicy): boolean {
  const groups = groupsOfAddress(policy.groups, address);
  return mayEncrypt(originFacts(origin, policy), { address, groups }, policy.rules);
}
