import type { CertificateTrust } from './source.ts';

/**
 * Whether a certificate that comes by mail or from a directory may be used at once. Pure.
 *
 * The danger: whoever can make a mail that says it is from an address (a self-made certificate is enough for
 * `harvested`) wants future mail to that address encrypted to his own key. So the first certificate of an address is
 * taken, and a different one only on evidence that the first one's owner or issuer stands behind it. A name of an
 * issuer is evidence only where a path to an anchor was checked, or where a configured directory gives the certificate:
 * without it anybody can write any issuer.
 */
export type KnownIdentity = {
  /** DER of the issuer's Name. */
  issuer: Buffer;
  /** SHA-256 over SubjectPublicKeyInfo, hex. */
  publicKey: string;
  trust: CertificateTrust;
};

export type Candidate = KnownIdentity & { trust: Exclude<CertificateTrust, 'pinned'> };

/** `current` is what is used for the address now, expired ones included. */
export function judgeNewcomer(current: readonly KnownIdentity[], newcomer: Candidate): 'current' | 'pending' {
  // A person vouches for the pinned one: only a person changes it.
  if (current.some(({ trust }) => trust === 'pinned')) return 'pending';
  if (current.length === 0) return 'current';
  // The same key under a renewed certificate: its owner has just signed with it.
  if (current.some(({ publicKey }) => publicKey === newcomer.publicKey)) return 'current';
  if (newcomer.trust === 'harvested') return 'pending';
  // Otherwise one self-made mail would keep the true certificate out, and mail to its owner unencrypted.
  const verified = current.filter(({ trust }) => trust === 'verified');
  if (newcomer.trust === 'directory' && verified.length > 0) return 'pending';
  const peers = verified.length > 0 ? verified : current.filter(({ trust }) => trust === newcomer.trust);
  if (peers.length === 0) return 'current';
  return peers.some(({ issuer }) => issuer.equals(newcomer.issuer)) ? 'current' : 'pending';
}
