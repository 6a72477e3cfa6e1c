import type { Certificate } from './certificate.ts';
import type { CertificateRevocationList } from './crl.ts';
import type { RevocationReport } from './revocation-report.ts';

/** Asks whether any certificate of one validated path is revoked now. */
export type RevocationQuestion = {
  /** Of a PathReport that is `valid`: the end entity first, the anchor last. */
  path: readonly Certificate[];
  /** CRLs that came with the question (a message carries them); nothing in them is believed before it is verified. */
  crls: Iterable<CertificateRevocationList>;
  /** Where signers of CRLs and responses may be found besides the path; nothing in it is believed. */
  pool: Iterable<Certificate>;
  /** Now. */
  at: Date;
};

/**
 * Finds evidence and judges it. May use the network, and answers within a time limit of its own: what could not be had
 * is `unchecked` with the reason. Never rejects.
 */
export interface RevocationChecker {
  check(question: RevocationQuestion): Promise<RevocationReport>;
}
