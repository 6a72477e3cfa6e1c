import { matchRule } from './match.ts';
import type { Rule } from './rules.ts';

/**
 * Whether the rule that will decide about this recipient can be one that encrypts. If it cannot, nobody has to look for
 * certificates: no decision depends on them. The From address is not known yet, so a rule that depends on it counts.
 */
export function mayEncrypt(login: string, recipient: string, rules: readonly Rule[]): boolean {
  for (const rule of rules) {
    const match = matchRule(rule.when, { login, from: null, recipient });
    if (match.kind === 'passed') continue;
    if (rule.encrypt !== 'never') return true;
    if (match.kind === 'applies') return false;
  }
  // No rule: refused.
  return false;
}
