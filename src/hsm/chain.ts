import { limits } from '../limits.ts';
import type { Certificate } from '../pki/certificate.ts';
import { sameName } from '../pki/name.ts';

/**
 * The intermediates to send along with `certificate`, nearest first, without the root: whoever trusts the root has
 * it (RFC 8550 §2.3). By names and key identifiers only: the reader validates, this merely packs.
 *
 * @param others certificates that may be intermediates, in any order
 */
export function chainOf(certificate: Certificate, others: readonly Certificate[]): Certificate[] {
  const chain: Certificate[] = [];
  const used = new Set([certificate.fingerprint]);
  let last = certificate;
  while (chain.length < limits.pki.pathLength) {
    const issuer = others.find((other) => !used.has(other.fingerprint) && mayHaveIssued(other, last));
    if (issuer === undefined || isSelfIssued(issuer)) return chain;
    chain.push(issuer);
    used.add(issuer.fingerprint);
    last = issuer;
  }
  return chain;
}

function mayHaveIssued(issuer: Certificate, certificate: Certificate): boolean {
  if (issuer.basicConstraints?.cA !== true || !sameName(issuer.subject, certificate.issuer)) return false;
  const wanted = certificate.authorityKeyIdentifier;
  const offered = issuer.subjectKeyIdentifier;
  return wanted === null || offered === null || wanted.equals(offered);
}

function isSelfIssued(certificate: Certificate): boolean {
  return sameName(certificate.subject, certificate.issuer);
}
