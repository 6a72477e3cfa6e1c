import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import { CertificateSet } from './certificate-set.ts';
import type { CertificateRevocationList } from './crl.ts';
import { crlForPeople, crlSigner } from './crl-signer.ts';
import { unknownCritical } from './crl-validation.ts';
import { type OcspEvidence, ocspProblem } from './ocsp-validation.ts';
import { type Chain, freshness, type RevocationContext } from './revocation-context.ts';
import type { RevocationProblem } from './revocation-report.ts';

/**
 * Whether one piece of evidence that was just fetched is worth keeping: whoever sits on the way to a CA's server can
 * answer with anything. Kept is only what is new, and signed by one who may speak about the certificate it was fetched
 * for. What it says about it is for checkRevocation, which looks at all of this again.
 */
export type EvidenceUse = {
  /** The certificate, then its issuers up to the anchor; a validated path. */
  target: Chain;
  pool: Iterable<Certificate>;
  at: Date;
  maxAgeMs: number | null;
  graceMs: number;
};

/** null: worth keeping. */
export function crlEvidenceProblem(
  crl: CertificateRevocationList,
  use: EvidenceUse,
): RevocationProblem | null {
  const context = contextOf(use);
  if (context === null) return NOTHING;
  const age = freshness(crl, context, crlForPeople(crl));
  const unusable = unknownCritical(crl) ?? ('problem' in age ? age.problem : null);
  if (unusable !== null) return unusable;
  const signer = crlSigner(crl, use.target, context);
  return 'check' in signer ? signer : null;
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
