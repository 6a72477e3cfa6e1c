import type { Log } from '../log/log.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import type { SecurityReport, SignatureReport } from '../smime/report.ts';
import type { CertificateDirectory, Harvest } from './ports.ts';

/** What decides besides the signature how far a certificate is trusted that comes with it. */
export type Judging = {
  at: Date;
  revocation?: 'soft' | 'hard';
  /** Whether a path is believed for encryption to the address, its anchor last; absent: each is. */
  vouches?(path: readonly Certificate[]): boolean;
};

/**
 * Learns correspondents' certificates from what was read: only from signatures that verify and speak for From, and only
 * for that one address. A certificate that merely lies in the message proves nothing; one that names further addresses
 * is not taken for them.
 * The directory is not part of reading: when it is away, the mail is still shown and the certificate comes with the next one.
 */
export async function harvestSigners(
  from: string,
  report: SecurityReport,
  judging: Judging,
  directory: CertificateDirectory,
  log: Log,
): Promise<void> {
  const signatures = report.layers.flatMap((layer) => (layer.kind === 'signed' ? layer.signatures : []));
  for (const signature of signatures) {
    const finding = harvestOf(from, signature, judging);
    if (finding === null) continue;
    try {
      await directory.harvest(finding);
    } catch (error) {
      log.write({ event: 'directory.harvest-failed', level: 'warn', address: from, reason: String(error) });
    }
  }
}

function harvestOf(
  address: string,
  signature: SignatureReport,
  { at, revocation = 'soft', vouches = () => true }: Judging,
): Harvest | null {
  const { signer, path, capabilities, signedAt } = signature;
  if (signer === null || signature.signature !== 'good' || signature.speaksFor !== 'from') return null;
  if (signature.revocation === 'revoked') return null;
  // A certificate that only signs is no use for the next mail; an expired one neither.
  if (mayCertificateEncrypt(signer, at).kind !== 'may') return null;
  const isTolerated =
    revocation === 'soft' ||
    signature.revocation === 'good' ||
    (path?.outcome === 'valid' && path.path.length === 1);
  const isVerified = path?.outcome === 'valid' && isTolerated && vouches(path.path);
  const trust = isVerified ? 'verified' : 'harvested';
  return { address, certificate: signer, trust, capabilities, signedAt };
}
