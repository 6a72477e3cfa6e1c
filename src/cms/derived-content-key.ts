import { hkdfSync } from 'node:crypto';
import { definiteLengths } from '../asn1/transcode.ts';
import {
  type AlgorithmIdentifier,
  algorithmIdentifier,
  readAlgorithmIdentifier,
} from './algorithm-identifier.ts';

/**
 * Content-encryption keys that depend on their algorithm (RFC 9709): who rewrites the algorithm of a message, to have
 * AES-GCM decrypted as AES-CBC for instance, gets another key and not the content.
 */

/** id-alg-cek-hkdf-sha256 (RFC 9709 §3); its parameter is the identifier of the algorithm that encrypts. */
export const cekHkdfSha256 = '1.2.840.113549.1.9.16.3.31';

const SALT = Buffer.from('The Cryptographic Message Syntax', 'latin1');

/**
 * The algorithm inside id-alg-cek-hkdf-sha256; null: another algorithm, or none inside.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function algorithmOfDerivedKey({ oid, parameters }: AlgorithmIdentifier): AlgorithmIdentifier | null {
  if (oid !== cekHkdfSha256 || parameters === null) return null;
  const inner = readAlgorithmIdentifier(parameters);
  // Once is enough; again and again would be somebody's way to have us compute.
  return inner.oid === cekHkdfSha256 ? null : inner;
}

/**
 * The key for `algorithm`, as long as the one it is derived from (RFC 9709 §2).
 *
 * @param algorithm encoded
 */
export function deriveContentKey(key: Uint8Array, algorithm: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', key, SALT, algorithm, key.length));
}

/** DER of an identifier as it was read, whatever lengths its writer used. */
export function derOf({ oid, parameters }: AlgorithmIdentifier): Buffer {
  return algorithmIdentifier(oid, ...(parameters === null ? [] : [definiteLengths(parameters)]));
}

/** @param algorithm encoded identifier of the one that encrypts */
export function derivedKeyAlgorithm(algorithm: Uint8Array): Buffer {
  return algorithmIdentifier(cekHkdfSha256, algorithm);
}
