import type { Certificate } from './certificate.ts';
import { CertificateSet } from './certificate-set.ts';
import { parseMailbox } from './mailbox.ts';

/** What an anchor is believed for: the signatures of mail that is read, and certificates that mail is encrypted to. */
export type AnchorPurpose = 'signing' | 'encryption';

/** Certificates that somebody configured, with what they are believed for. This narrows RFC 5280 §6.1.1 (d); name constraints stay as they are. */
export type AnchorScope = {
  certificates: readonly Certificate[];
  purposes: ReadonlySet<AnchorPurpose>;
  /** A-labels in lower case; `*.d` is below d, `*` any. null: any address. */
  domains: readonly string[] | null;
};

/** Sets that are kept: one for each domain that was asked for. */
const MOST_KEPT = 1_000;

/**
 * The trust anchors by purpose and by the address whose certificate is judged. A certificate that is configured several times may do
 * what any of its entries allows.
 */
export class TrustAnchors {
  /** All of them, whatever they are believed for. */
  readonly all: CertificateSet;
  readonly #scopes: readonly AnchorScope[];
  readonly #restricted: boolean;
  readonly #kept = new Map<string, CertificateSet>();

  constructor(scopes: readonly AnchorScope[]) {
    this.#scopes = scopes;
    this.#restricted = scopes.some(({ domains, purposes }) => domains !== null || purposes.size < 2);
    this.all = new CertificateSet(scopes.flatMap(({ certificates }) => certificates));
  }

  /** @param address null: nobody knows whose it is, so only anchors count that may speak for anybody */
  for(purpose: AnchorPurpose, address: string | null): CertificateSet {
    if (!this.#restricted) return this.all;
    const domain = address === null ? null : (parseMailbox(address)?.domain ?? null);
    const key = `${purpose} ${domain ?? ''}`;
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const scopes = this.#scopes.filter(
      ({ purposes, domains }) =>
        purposes.has(purpose) &&
        (domains === null || (domain !== null && domains.some((one) => matches(one, domain)))),
    );
    // What is not believed of an authority is not believed of it where another one has certified it either.
    const set = new CertificateSet(
      scopes.flatMap(({ certificates }) => certificates),
      this.all,
    );
    const oldest = this.#kept.size >= MOST_KEPT ? this.#kept.keys().next().value : undefined;
    if (oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, set);
    return set;
  }
}

function matches(pattern: string, domain: string): boolean {
  if (pattern === '*' || pattern === domain) return true;
  return pattern.startsWith('*.') && domain.endsWith(pattern.slice(1));
}
