import { isInOneOf, isOneOf, patternSubject } from './patterns.ts';
import type { Group } from './rules.ts';

/** Who is in which group: facts that are known before any rule is asked. */

/** Names of the groups that have this address, or its domain. */
export function groupsOfAddress(groups: readonly Group[], address: string): readonly string[] {
  if (groups.length === 0) return [];
  const subject = patternSubject(address);
  return groups
    .filter((group) => isOneOf(subject, group.addresses) || isInOneOf(subject, group.domains))
    .map(({ name }) => name);
}

/** Names of the groups that have this login. */
export function groupsOfLogin(groups: readonly Group[], login: string): readonly string[] {
  return groups.filter(({ logins }) => logins.includes(login)).map(({ name }) => name);
}
