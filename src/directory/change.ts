/**
 * Whether a certificate that comes by mail may be used at once. Pure.
 *
 * The danger: whoever can make a mail that says it is from an address (a self-made certificate is enough for
 * `harvested`) wants future mail to that address encrypted to his own key. So the first certificate of an address is
 * taken, and a different one only on evidence that the first one's owner or issuer stands behind it. A name of an
 * issuer is evidence only where a path to an anchor was checked: without it anybody can write any issuer.
 */
export type KnownIdentity = {
  /** DER of the issuer's Name. */
  issuer: Buffer;
  /** SHA-256 over SubjectPublicKeyInfo, hex. */
  publicKey: string;
  trust: 'harvested' | 'verified' | 'pinned';
};

export type Newcomer = { issuer: Buffer; publicKey: string; trust: 'harvested' | 'verified' };

/** `current` is what is used for the address now, expired ones included. */
export function judgeNewcomer(current: readonly KnownIdentity[], newcomer: Newcomer): 'current' | 'pending' {
  // A person vouches for the pinned one: only a person changes it.
  if (current.some(({ trust }) => trust === 'pinned')) return 'pending';
  if (current.length === 0) return 'current';
  // The same key under a renewed certificate: its owner has just signed with it.
  if (current.some(({ publicKey }) => publicKey === newcomer.publicKey)) return 'current';
  if (newcomer.trust !== 'verified') return 'pending';
  // Otherwise one self-made mail would keep the true certificate out, and mail to its owner unencrypted.
  const verified = current.filter(({ trust }) => trust === 'verified');
  if (verified.length === 0) return 'current';
  return verified.some(({ issuer }) => issuer.equals(newcomer.issuer)) ? 'current' : 'pending';
}
