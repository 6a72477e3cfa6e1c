import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import { CertificateSet } from './certificate-set.ts';
import type { CertificateRevocationList } from './crl.ts';
import { distributionPoints, reasonsInScope } from './crl-scope.ts';
import { crlForPeople, crlSigner } from './crl-signer.ts';
import { unknownCritical } from './crl-validation.ts';
import { type OcspEvidence, ocspProblem } from './ocsp-validation.ts';
import { type Chain, freshness, type RevocationContext } from './revocation-context.ts';
import type { RevocationProblem } from './revocation-report.ts';

/**
 * Whether one piece of evidence that was just fetched is worth keeping: whoever sits on the way to a CA's server can
 * answer with anything. Kept is only what is new, about the certificate it was fetched for, and signed by one who may
 * speak about it. What it says is for checkRevocation, which looks at all of this again.
 */
export type EvidenceUse = {
  /** The certificate, then its issuers up to the anchor; a validated path. */
  target: Chain;
  pool: Iterable<Certificate>;
  at: Date;
  maxAgeMs: number | null;
  graceMs: number;
};

/** What is published at the place. */
export type PublishedList = 'complete' | 'delta';

/**
 * null: worth keeping. Another genuine CRL (of the root, of another scope, a delta alone) is not: it would take the place
 * of the one that lists the certificate.
 */
export function crlEvidenceProblem(
  crl: CertificateRevocationList,
  published: PublishedList,
  use: EvidenceUse,
): RevocationProblem | null {
  const context = contextOf(use);
  if (context === null) return NOTHING;
  if (published === 'complete' && crl.baseCRLNumber !== null) {
    return { check: 'scope', text: `${crlForPeople(crl)} is only a delta.` };
  }
  const age = freshness(crl, context, crlForPeople(crl));
  const unusable =
    scopeProblem(crl, use.target) ?? unknownCritical(crl) ?? ('problem' in age ? age.problem : null);
  if (unusable !== null) return unusable;
  const signer = crlSigner(crl, use.target, context);
  return 'check' in signer ? signer : null;
}

/** null: the CRL speaks about the certificate, for some reasons at least. */
function scopeProblem(crl: CertificateRevocationList, [certificate]: Chain): RevocationProblem | null {
  if (certificate === undefined) return NOTHING;
  let why = 'is for no reason that counts.';
  try {
    for (const point of distributionPoints(certificate)) {
      const reasons = reasonsInScope(crl, certificate, point);
      if (typeof reasons === 'string') why = reasons;
      else if (reasons !== 0) return null;
    }
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    why = 'cannot be compared with distribution points that cannot be read.';
  }
  return { check: 'scope', text: `${crlForPeople(crl)} ${why}` };
}

/** null: worth keeping, also where it says that the responder does not know the certificate. */
export function ocspEvidenceProblem(evidence: OcspEvidence, use: EvidenceUse): RevocationProblem | null {
  const context = contextOf(use);
  return context === null ? NOTHING : ocspProblem(use.target, evidence, context);
}

const NOTHING: RevocationProblem = { check: 'no-information', text: 'There is no path to judge it by.' };

function contextOf({ target, pool, at, maxAgeMs, graceMs }: EvidenceUse): RevocationContext | null {
  const anchor = target.at(-1);
  if (anchor === undefined) return null;
  return {
    ...{ at, anchor, maxAgeMs, graceMs },
    pool: CertificateSet.of(pool),
    acceptLegacyAlgorithms: false,
    budget: { left: limits.pki.revocationSignatureChecks },
    // Whether the signer is itself revoked is asked when the evidence is used.
    signerStatus: () => 'good',
  };
}
