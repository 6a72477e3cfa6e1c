import { createHash } from 'node:crypto';
import { parseSubjectPublicKeyInfo } from './public-key.ts';

/**
 * RFC 5280 §4.2.1.2 method (1): SHA-1 over the octets of subjectPublicKey. It names a key and proves nothing.
 *
 * @param subjectPublicKeyInfo DER
 * @returns 20 octets
 * @throws SealgateError `asn1.malformed`
 */
export function keyIdentifier(subjectPublicKeyInfo: Buffer): Buffer {
  return createHash('sha1').update(parseSubjectPublicKeyInfo(subjectPublicKeyInfo).subjectPublicKey).digest();
}
