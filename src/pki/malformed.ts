import { SealgateError } from '../errors.ts';

/**
 * What the standard forbids in a certificate although its ASN.1 can be read. Errors of the encoding itself are
 * `asn1.malformed`.
 *
 * @param reason what was found, with the RFC's words; never octets of the input
 */
export function malformed(reason: string): SealgateError {
  return new SealgateError({
    code: 'pki.malformed',
    publicText:
      'The certificate is damaged or breaks the rules for certificates; ask its issuer for a new one.',
    duration: 'permanent',
    reason,
  });
}
