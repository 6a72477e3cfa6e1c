import { SealgateError } from '../errors.ts';

/**
 * The one error of this folder.
 *
 * @param offset octets from the start of the outermost input
 * @param reason what was found and what was expected; never octets of the input
 */
export function malformed(offset: number, reason: string): SealgateError {
  return new SealgateError({
    code: 'asn1.malformed',
    publicText: 'The data is damaged or not what it claims to be; ask its sender or issuer for a new copy.',
    duration: 'permanent',
    reason: `ASN.1 at octet ${offset}: ${reason}`,
  });
}
