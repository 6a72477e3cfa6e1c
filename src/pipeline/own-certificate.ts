import { SealgateError } from '../errors.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import type { Keyring, OwnCertificate, Principal, RevocationStanding } from './ports.ts';

export type Sender = {
  principal: Principal;
  from: string | null;
  at: Date;
  /** Absent: revocation is not looked at. */
  standing?: RevocationStanding;
};

/**
 * The sender's preferred certificate that others may encrypt to. For a signature alone it is a courtesy (replies can use
 * it); an encrypted mail must be readable for its sender, so it waits for a card that nobody has seen yet. One that is known
 * to be revoked is passed over: whoever stole its key could read the mail.
 *
 * @param needed whether something is encrypted
 * @param postQuantum whether one for ML-KEM counts
 * @throws SealgateError `key.unavailable` where it is needed
 */
export async function ownCertificate(
  { principal, from, at: now, standing }: Sender,
  keyring: Keyring,
  needed: boolean,
  postQuantum: boolean,
): Promise<OwnCertificate | null> {
  if (from === null) return null;
  const certificates = keyring.ownCertificates(principal, from);
  const usable = certificates.filter(
    ({ certificate }) =>
      mayCertificateEncrypt(certificate, now, postQuantum).kind === 'may' && speaksFor(certificate, from),
  );
  const unseen = usable.length === 0 && needed ? keyring.unseen(principal) : null;
  if (unseen !== null) {
    throw new SealgateError({ code: 'key.unavailable', publicText: unseen, duration: 'temporary' });
  }
  for (const own of usable) {
    const stands = await standing?.of(own.certificate);
    if (stands?.kind !== 'revoked') return own;
  }
  return null;
}
