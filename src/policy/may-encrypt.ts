import type { OriginFacts, RecipientFacts } from './facts.ts';
import { asksForCertificates } from './looks-at.ts';
import { earlyCorrespondence, matchRule } from './match.ts';
import type { Rule } from './rules.ts';

/**
 * Whether the decision about this recipient can depend on certificates: the rule that will decide can be one that encrypts, or
 * which one decides can depend on them. If not, nobody has to look for any. The message is not there yet, so a rule that depends
 * on it counts.
 */
export function mayEncrypt(
  origin: OriginFacts,
  recipient: Pick<RecipientFacts, 'address' | 'groups' | 'groupsAway'>,
  rules: readonly Rule[],
): boolean {
  if (!canEncrypt(rules)) return false;
  const correspondence = earlyCorrespondence(origin, { ...recipient, certificates: null });
  for (const rule of rules) {
    const match = matchRule(rule, correspondence);
    if (match.kind === 'passed') continue;
    if (canMatter(rule)) return true;
    if (match.kind === 'applies') return false;
  }
  // No rule: refused.
  return false;
}

/** An author who may steer may ask for it. */
function canMatter(rule: Rule): boolean {
  return rule.encrypt !== 'never' || rule.steering !== null || asksForCertificates(rule);
}

const encrypting = new WeakMap<readonly Rule[], boolean>();

/** Whether any of the rules does; asked with every recipient of every mail. */
function canEncrypt(rules: readonly Rule[]): boolean {
  let known = encrypting.get(rules);
  if (known === undefined) {
    known = rules.some(canMatter);
    encrypting.set(rules, known);
  }
  return known;
}
