import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import type { CertificateSet } from './certificate-set.ts';
import { certificateSignature, type SignatureBudget, type SignedOctets } from './certificate-signature.ts';
import type { CertificateRevocation, RevocationProblem } from './revocation-report.ts';
import { workingKeyOnPath } from './working-key.ts';

/** A certificate, its issuer, and so on to the anchor; every link validated. */
export type Chain = readonly Certificate[];

/** By octets: the same certificate may have been parsed more than once. */
export function isAmong(chain: Chain, certificate: Certificate): boolean {
  return chain.some(({ fingerprint }) => fingerprint === certificate.fingerprint);
}

/** What one check of revocation has in its hands. */
export type RevocationContext = {
  at: Date;
  anchor: Certificate;
  /** Where signers may be found; nothing in it is believed. */
  pool: CertificateSet;
  acceptLegacyAlgorithms: boolean;
  /** Evidence older than this is not believed, whatever it says; null: it says itself how long. */
  maxAgeMs: number | null;
  /** How long evidence is still believed after it stopped being new; 0: not at all. */
  graceMs: number;
  budget: SignatureBudget;
  /** Of a signer who is not on the path above the certificate that is asked for. */
  signerStatus: (signer: Chain, above: Chain) => CertificateRevocation['status'];
};

/** The time for which a CRL or a response counts as new. */
export type Freshness = { until: Date } | { problem: RevocationProblem };

/**
 * RFC 5280 §6.3.3 (a), RFC 6960 §4.2.2.1. Evidence from the future is refused: its clock or its signer cannot be
 * believed.
 *
 * @param what the evidence in words, for the message
 */
export function freshness(
  evidence: { thisUpdate: Date; nextUpdate: Date | null },
  context: Pick<RevocationContext, 'at' | 'maxAgeMs' | 'graceMs'>,
  what: string,
): Freshness {
  const at = context.at.getTime();
  const from = evidence.thisUpdate.getTime();
  const said = evidence.nextUpdate?.getTime() ?? from + limits.pki.ageWithoutNextUpdateMs;
  const until = Math.min(said, context.maxAgeMs === null ? Infinity : from + context.maxAgeMs);
  const stale = (text: string): Freshness => ({ problem: { check: 'freshness', text: `${what} ${text}` } });
  // Written so that an invalid Date fails.
  if (!(at >= from - limits.pki.clockSkewMs)) return stale('is from the future.');
  if (!(at <= until + context.graceMs)) return stale(`was new only until ${new Date(until).toISOString()}.`);
  return { until: new Date(until) };
}

/** Whether the first certificate of the chain has signed; otherwise why it has not, in words that follow a subject. */
export function chainSignature(
  signed: SignedOctets,
  signer: Chain,
  context: Pick<RevocationContext, 'budget' | 'acceptLegacyAlgorithms'>,
): { check: RevocationProblem['check']; text: string } | null {
  const [certificate, ...above] = signer;
  const key = certificate === undefined ? null : workingKeyOnPath(certificate, above);
  if (key === null) return { check: 'signature', text: 'is signed with a key without parameters.' };
  const verdict = certificateSignature(signed, key, context.budget);
  switch (verdict) {
    case 'good':
      return null;
    case 'legacy':
      return context.acceptLegacyAlgorithms
        ? null
        : { check: 'signature', text: 'is signed with SHA-1 or a key of less than 2048 bits.' };
    case 'bad':
      return { check: 'signature', text: 'does not bear the signature of its issuer.' };
    case 'unsupported':
      return { check: 'signature', text: 'is signed with an algorithm or a key that is not supported.' };
    case null:
      return { check: 'too-complex', text: 'was left out: too many signatures had to be verified.' };
  }
}
