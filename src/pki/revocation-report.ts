import type { Certificate } from './certificate.ts';
import type { RevocationReason } from './revocation-reason.ts';

/** Why a CRL, a response or all of them together did not settle the question. */
export type RevocationProblem = {
  check:
    | 'no-information'
    /** A place was asked and gave nothing: it may be different later. */
    | 'not-fetched'
    /** There is no place that is asked. */
    | 'no-place'
    | 'scope'
    | 'freshness'
    | 'signer'
    | 'signature'
    | 'unknown-critical-extension'
    | 'nonce'
    | 'unknown-certificate'
    | 'unreadable'
    /** Its own validity is over: nobody has to say any more whether it was revoked. */
    | 'expired'
    | 'too-complex';
  /** For people; foreign names in it are escaped and shortened. */
  text: string;
};

/** `freshUntil`: until when the evidence counts as new. */
export type CertificateRevocation =
  /** `no-revocation-available`: its issuer never publishes anything about it (RFC 9608). */
  | { status: 'good'; by: 'crl' | 'ocsp' | 'no-revocation-available'; freshUntil: Date }
  | {
      status: 'revoked';
      by: 'crl' | 'ocsp';
      revocationDate: Date;
      reason: RevocationReason;
      /** When the key was last known to be good, by the CA's word; null: not said. */
      invalidityDate: Date | null;
    }
  | { status: 'undetermined'; problems: readonly RevocationProblem[] };

/**
 * Revocation of every certificate of one path, end entity first. The anchor is not among them: nobody stands above it
 * who could revoke it, and whoever configured it takes it away.
 *
 * `verdict`: `revoked` if one is; `good` only if all are and there is one; else `unchecked`.
 */
export type RevocationReport = {
  verdict: 'good' | 'revoked' | 'unchecked';
  certificates: readonly { certificate: Certificate; revocation: CertificateRevocation }[];
  /** The earliest `freshUntil`; null unless the verdict is `good`. */
  freshUntil: Date | null;
  /**
   * What evidence is missing for: certificates of the path, and signers of evidence, each followed by its issuers up to
   * the anchor.
   */
  missing: readonly (readonly Certificate[])[];
};
