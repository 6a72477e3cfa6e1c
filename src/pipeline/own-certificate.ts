import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import type { Keyring, Principal, RevocationStanding } from './ports.ts';

export type Sender = {
  mail: MailId;
  principal: Principal;
  from: string | null;
  at: Date;
  /** Absent: revocation is not looked at. */
  standing?: RevocationStanding;
};

export type OwnCertificate = {
  certificate: Certificate;
  /** Whether the key behind it reads OAEP. */
  readsOaep: boolean;
};

/**
 * The sender's newest certificate that others may encrypt to. For a signature alone it is a courtesy (replies can use
 * it), so a token that is away does not stop the mail; an encrypted mail must be readable for its sender. One that is known
 * to be revoked is passed over: whoever stole its key could read the mail.
 *
 * @param needed whether something is encrypted
 * @param postQuantum whether one for ML-KEM counts
 * @throws SealgateError `key.unavailable` where it is needed
 */
export async function ownCertificate(
  { mail, principal, from, at: now, standing }: Sender,
  keyring: Keyring,
  needed: boolean,
  postQuantum: boolean,
): Promise<OwnCertificate | null> {
  if (from === null) return null;
  const certificates = await keyring.decryptionKeys(principal, mail).then(
    (keys) => keys.map(({ certificate, readsOaep = true }) => ({ certificate, readsOaep })),
    (error: unknown) => {
      if (needed || !(error instanceof SealgateError)) throw error;
      return [];
    },
  );
  const usable = certificates.filter(
    ({ certificate }) =>
      mayCertificateEncrypt(certificate, now, postQuantum).kind === 'may' && speaksFor(certificate, from),
  );
  usable.sort((one, other) => other.certificate.notBefore.getTime() - one.certificate.notBefore.getTime());
  for (const own of usable) {
    const stands = await standing?.of(own.certificate);
    if (stands?.kind !== 'revoked') return own;
  }
  return null;
}
