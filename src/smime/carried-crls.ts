import type { SignedData } from '../cms/signed-data.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type CertificateRevocationList, parseCrl } from '../pki/crl.ts';
import { CrlSet } from '../pki/crl-set.ts';

/**
 * The CRLs that a message carries (RFC 5652 §5.1). A stranger has chosen them, so there may be few and they may not be
 * large; what cannot be read is left out. None of them is believed before its signature is verified, and one that was
 * left out can only leave a certificate unchecked.
 */
export function carriedCrls(signedData: Pick<SignedData, 'crls'>): CrlSet {
  const found: CertificateRevocationList[] = [];
  let octets = 0;
  for (const der of signedData.crls.slice(0, limits.cms.crls)) {
    octets += der.length;
    if (octets > limits.cms.crlOctets) break;
    try {
      found.push(parseCrl(der));
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
    }
  }
  return new CrlSet(found);
}
