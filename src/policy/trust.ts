import type { CertificateTrust } from './rules.ts';

/** The ladder of trust: the one place that orders it. */
const RANK: Readonly<Record<CertificateTrust, number>> = {
  harvested: 1,
  directory: 2,
  verified: 3,
  pinned: 4,
};

/** Whether a certificate is trusted at least so much. */
export function isTrusted(trust: CertificateTrust, least: CertificateTrust): boolean {
  return RANK[trust] >= RANK[least];
}
