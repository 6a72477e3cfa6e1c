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
  const correspondence = earlyCorrespondence(origin, { ...recipient, certificates: null });
  for (const rule of rules) {
    const match = matchRule(rule, correspondence);
    if (match.kind === 'passed') continue;
    // An author who may steer may ask for it.
    if (rule.encrypt !== 'never' || rule.steering !== null || asksForCertificates(rule)) return true;
    if (match.kind === 'applies') return false;
  }
  // No rule: refused.
  return false;
}
