import { domainToASCII, domainToUnicode } from 'node:url';
import type { Mailbox } from '../smtp/envelope.ts';

/** Whether mail for an address stays with its own domains, read as the most careless server behind could read it. */
export class OwnDomains {
  readonly #exact = new Set<string>();
  readonly #below: string[] = [];

  /** @param patterns a domain, or `*.domain` for all below it; IDN as A-labels, lower case */
  constructor(patterns: readonly string[]) {
    for (const pattern of patterns) {
      if (pattern.startsWith('*.')) this.#below.push(pattern.slice(1));
      else this.#exact.add(pattern);
    }
  }

  /**
   * `<Postmaster>` without a domain is the mail server's own (RFC 5321 §4.5.1). What routes further behind the "@" of an own domain is
   * nobody's: `user%elsewhere@`, `elsewhere!user@`, `"user@elsewhere"@` (RFC 5321 appendix C asks nobody to understand them, and some do).
   */
  has({ localPart, domain }: Mailbox): boolean {
    if (domain === '') return true;
    const name = comparable(domain);
    if (name === null || routesFurther(localPart)) return false;
    return (
      this.#exact.has(name) || this.#below.some((below) => name.endsWith(below) && name !== below.slice(1))
    );
  }
}

/** null: an address literal, or a name that others could read as another one. */
function comparable(domain: string): string | null {
  if (domain.startsWith('[')) return null;
  if (/^[\x21-\x7e]+$/.test(domain)) return domain.toLowerCase();
  const ascii = domainToASCII(domain);
  // Full-width letters and the like become others on the way: only the usual spelling is a name.
  return ascii !== '' && domainToUnicode(ascii) === domain.toLowerCase().normalize('NFC') ? ascii : null;
}

function routesFurther(localPart: string): boolean {
  return /[%!@]/.test(localPart);
}
