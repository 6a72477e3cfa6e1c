import { domainToASCII } from 'node:url';

/** Addresses and domains as conditions compare them. */

/** An address, taken apart once for all the conditions that look at it. */
export type PatternSubject = {
  text: string;
  localPart: string;
  domain: string;
  /** Both, as lists have them. */
  mailbox: string;
  /** The domains that it is below. */
  parents: readonly string[];
};

/** In conditions the case of local parts makes no difference: `Carol@` must not slip past a rule for `carol@`. */
export function patternSubject(address: string): PatternSubject {
  // Composed and decomposed letters are one mailbox to those who see them (RFC 6532 §3.1).
  const localPart = localPartOf(address).normalize('NFC').toLowerCase();
  const { domain, parents } = domainSubject(address.slice(address.lastIndexOf('@') + 1));
  return { text: address, localPart, domain, mailbox: `${localPart}@${domain}`, parents };
}

type DomainSubject = Pick<PatternSubject, 'domain' | 'parents'>;

/** The many recipients of a mail have few domains. Forgotten, all of them, when there are too many. */
const domainSubjects = new Map<string, DomainSubject>();
const DOMAINS_KEPT = 1_000;

function domainSubject(text: string): DomainSubject {
  const known = domainSubjects.get(text);
  if (known !== undefined) return known;
  const domain = asciiDomain(text);
  const parents: string[] = [];
  for (let dot = domain.indexOf('.'); dot !== -1; dot = domain.indexOf('.', dot + 1)) {
    parents.push(domain.slice(dot + 1));
  }
  const made = { domain, parents };
  if (domainSubjects.size >= DOMAINS_KEPT) domainSubjects.clear();
  domainSubjects.set(text, made);
  return made;
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

/** Whether the address is one of these; `sales-*@example.org` is each whose local part begins so. The `*` never stands for an `@`. */
export function isOneOf(
  { localPart, domain, mailbox }: PatternSubject,
  patterns: readonly string[],
): boolean {
  const { exact, wildcards } = addressesIn(patterns);
  return (
    exact.has(mailbox) ||
    wildcards.some(
      (one) =>
        one.domain === domain &&
        localPart.length >= one.begins.length + one.ends.length &&
        localPart.startsWith(one.begins) &&
        localPart.endsWith(one.ends),
    )
  );
}

/** Whether the address's domain is one of these; `*.d` is below d, `*` is any. */
export function isInOneOf({ domain, parents }: PatternSubject, patterns: readonly string[]): boolean {
  const { any, exact, below } = domainsIn(patterns);
  if (any || exact.has(domain)) return true;
  // The dot stays: *.example.org is not evilexample.org, and not example.org itself.
  return below.size > 0 && parents.some((one) => below.has(one));
}

type Addresses = {
  exact: ReadonlySet<string>;
  wildcards: readonly { begins: string; ends: string; domain: string }[];
};
type Domains = { any: boolean; exact: ReadonlySet<string>; below: ReadonlySet<string> };

/** Lists of rules do not change; each is made ready once, so that a mail to many is not many times the length of the lists. */
const addresses = new WeakMap<readonly string[], Addresses>();
const domains = new WeakMap<readonly string[], Domains>();

function addressesIn(patterns: readonly string[]): Addresses {
  const known = addresses.get(patterns);
  if (known !== undefined) return known;
  const exact = new Set<string>();
  const wildcards: { begins: string; ends: string; domain: string }[] = [];
  for (const { localPart, domain } of patterns.map(patternSubject)) {
    const star = localPart.indexOf('*');
    if (star === -1) exact.add(`${localPart}@${domain}`);
    else wildcards.push({ begins: localPart.slice(0, star), ends: localPart.slice(star + 1), domain });
  }
  const made = { exact, wildcards };
  addresses.set(patterns, made);
  return made;
}

function domainsIn(patterns: readonly string[]): Domains {
  const known = domains.get(patterns);
  if (known !== undefined) return known;
  const below = patterns.filter((one) => one.startsWith('*.')).map((one) => asciiDomain(one.slice(2)));
  const exact = patterns.filter((one) => !one.startsWith('*')).map(asciiDomain);
  const made = { any: patterns.includes('*'), exact: new Set(exact), below: new Set(below) };
  domains.set(patterns, made);
  return made;
}

function localPartOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf('@')));
}

function domainOf(address: string): string {
  return asciiDomain(address.slice(address.lastIndexOf('@') + 1));
}

/** Forgotten, all of them, when there are too many. */
const asciiDomains = new Map<string, string>();

/** A trailing dot names the same domain: it must not slip past a rule. Empty: not a domain. */
function asciiDomain(domain: string): string {
  let ascii = asciiDomains.get(domain);
  if (ascii === undefined) {
    ascii = inAscii(domain);
    if (asciiDomains.size >= DOMAINS_KEPT) asciiDomains.clear();
    asciiDomains.set(domain, ascii);
  }
  return ascii;
}

function inAscii(domain: string): string {
  const rooted = domain.endsWith('.') ? domain.slice(0, -1) : domain;
  // Address literals ([192.0.2.1]) are compared as they are.
  return rooted.startsWith('[') ? rooted.toLowerCase() : domainToASCII(rooted);
}
