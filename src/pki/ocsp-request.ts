import { explicit, octetString, oid, sequence } from '../asn1/writer.ts';
import type { Certificate } from './certificate.ts';
import { malformed } from './malformed.ts';
import { type CertIdDigest, writeCertId } from './ocsp-cert-id.ts';

/** id-pkix-ocsp-nonce, RFC 9654 §2.1. */
export const oidOcspNonce = '1.3.6.1.5.5.7.48.1.2';

/** RFC 9654 §2.1. */
const MAX_NONCE_OCTETS = 128;

/**
 * An unsigned OCSPRequest about one certificate (RFC 6960 §4.1.1).
 *
 * @param request.digest of the CertID; absent: SHA-1, which every responder knows
 * @param request.nonce 1 to 128 octets that nobody can guess, best 32; null: none, so that caches may answer
 * @returns DER
 * @throws SealgateError `pki.malformed` for a nonce of another length
 */
export function writeOcspRequest(request: {
  certificate: Certificate;
  issuer: Certificate;
  digest?: CertIdDigest;
  nonce: Buffer | null;
}): Buffer {
  const { certificate, issuer, digest = 'sha1', nonce } = request;
  if (nonce !== null && (nonce.length === 0 || nonce.length > MAX_NONCE_OCTETS)) {
    throw malformed('an OCSP nonce that is empty or too long');
  }
  const requestList = sequence(sequence(writeCertId(digest, certificate, issuer)));
  const extensions =
    nonce === null
      ? []
      : // The value of the extension is an OCTET STRING in its own right.
        [explicit(2, sequence(sequence(oid(oidOcspNonce), octetString(octetString(nonce)))))];
  return sequence(sequence(requestList, ...extensions));
}
