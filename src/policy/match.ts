import { domainToASCII } from 'node:url';
import type { Condition, Rule } from './rules.ts';

/** What a condition looks at. `from` is null while the message is not there yet (at RCPT TO). */
export type Correspondence = { login: string; from: string | null; recipient: string };

export type Match =
  | { kind: 'applies' }
  /** Which condition does not hold, in words. */
  | { kind: 'passed'; because: string }
  /** Only the message itself can tell. */
  | { kind: 'open' };

export type FirstRule = {
  rule: Rule | null;
  /** The rules before it. */
  passed: readonly { rule: string; because: string }[];
};

/** The rule that decides about one recipient of a message that is there. */
export function firstRule(
  rules: readonly Rule[],
  correspondence: Correspondence & { from: string },
): FirstRule {
  const passed: { rule: string; because: string }[] = [];
  for (const rule of rules) {
    const match = matchRule(rule.when, correspondence);
    if (match.kind === 'applies') return { rule, passed };
    passed.push({ rule: rule.name, because: match.kind === 'passed' ? match.because : 'undecided' });
  }
  return { rule: null, passed };
}

/** Whether one condition holds. What certainly fails outweighs what is not known yet. */
export function matchRule(when: Condition, { login, from, recipient }: Correspondence): Match {
  if (when.login !== null && !when.login.includes(login)) {
    return { kind: 'passed', because: `the login is ${login}` };
  }
  if (when.recipient !== null && !isOneOf(recipient, when.recipient)) {
    return { kind: 'passed', because: `the recipient is ${recipient}` };
  }
  if (when.recipientDomain !== null && !isInOneOf(recipient, when.recipientDomain)) {
    return { kind: 'passed', because: `the recipient's domain is ${domainOf(recipient)}` };
  }
  if (when.sender === null && when.senderDomain === null) return { kind: 'applies' };
  if (from === null) return { kind: 'open' };
  if (when.sender !== null && !isOneOf(from, when.sender)) {
    return { kind: 'passed', because: `the mail is from ${from}` };
  }
  if (when.senderDomain !== null && !isInOneOf(from, when.senderDomain)) {
    return { kind: 'passed', because: `the mail is from the domain ${domainOf(from)}` };
  }
  return { kind: 'applies' };
}

/**
 * Whether two addresses are the same mailbox: domains without case and as A-labels, local parts exactly (RFC 5321
 * §2.4). For what gives a right.
 */
export function sameMailbox(one: string, other: string): boolean {
  if (localPartOf(one) !== localPartOf(other)) return false;
  const domain = domainOf(one);
  return domain !== '' && domain === domainOf(other);
}

/**
 * In conditions the case of local parts makes no difference: `Carol@` must not slip past a rule for `carol@`.
 */
function isOneOf(address: string, listed: readonly string[]): boolean {
  const folded = (text: string) => localPartOf(text).toLowerCase();
  return listed.some((each) => folded(each) === folded(address) && domainOf(each) === domainOf(address));
}

function isInOneOf(address: string, patterns: readonly string[]): boolean {
  const domain = domainOf(address);
  return patterns.some((pattern) => {
    if (pattern === '*') return true;
    // The dot stays: *.example.org is not evilexample.org, and not example.org itself.
    if (pattern.startsWith('*.')) return domain.endsWith(`.${asciiDomain(pattern.slice(2))}`);
    return domain === asciiDomain(pattern);
  });
}

function localPartOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf('@')));
}

function domainOf(address: string): string {
  return asciiDomain(address.slice(address.lastIndexOf('@') + 1));
}

/** A trailing dot names the same domain: it must not slip past a rule. Empty: not a domain. */
function asciiDomain(domain: string): string {
  const rooted = domain.endsWith('.') ? domain.slice(0, -1) : domain;
  // Address literals ([192.0.2.1]) are compared as they are.
  return rooted.startsWith('[') ? rooted.toLowerCase() : domainToASCII(rooted);
}
