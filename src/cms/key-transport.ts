import { constants, publicEncrypt } from 'node:crypto';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { octetString } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import { unreachable } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';
import {
  type AlgorithmIdentifier,
  algorithmIdentifier,
  hasNoParameters,
  readAlgorithmIdentifier,
} from './algorithm-identifier.ts';
import { digestAlgorithmWithNull, digestName } from './digests.ts';
import type { DigestName, KeyTransportScheme } from './keys.ts';
import { mgf1, readMaskDigest, rsaEncryption } from './signatures.ts';

/** RFC 8017 §A.2.1. */
export const rsaesOaep = '1.2.840.113549.1.1.7';
const pSpecified = '1.2.840.113549.1.1.9';

export type KeyTransportName = KeyTransportScheme['kind'];

/** Whether a certificate's key does RSA key transport. */
export function canTransportKeys(certificate: Certificate): boolean {
  return certificate.keyAlgorithm === rsaEncryption || certificate.keyAlgorithm === rsaesOaep;
}

/**
 * The scheme that a keyEncryptionAlgorithm asks for (RFC 3370 §4.2.1, RFC 3560 §3); null: not supported.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function resolveKeyTransport(algorithm: AlgorithmIdentifier): KeyTransportScheme | null {
  if (algorithm.oid === rsaEncryption) return hasNoParameters(algorithm) ? { kind: 'rsa-pkcs1' } : null;
  if (algorithm.oid !== rsaesOaep) return null;
  const scheme = { kind: 'rsa-oaep', digest: 'sha1', maskDigest: 'sha1', label: Buffer.alloc(0) } as const;
  if (algorithm.parameters === null) return scheme;
  // RSAES-OAEP-params: hashAlgorithm [0] SHA-1, maskGenAlgorithm [1] MGF1 with SHA-1, pSourceAlgorithm [2] empty
  const reader = sequenceOf(algorithm.parameters, 'BER', 'RSAES-OAEP-params');
  const hash = reader.optionalExplicit(0);
  const mask = reader.optionalExplicit(1);
  const source = reader.optionalExplicit(2);
  reader.end();
  const digest = hash === null ? 'sha1' : digestName(readAlgorithmIdentifier(hash));
  const maskDigest = readMaskDigest(mask);
  let label: Buffer = scheme.label;
  if (source !== null) {
    const identifier = readAlgorithmIdentifier(source);
    if (identifier.oid !== pSpecified || identifier.parameters === null) return null;
    label = octetString(identifier.parameters, 'BER');
  }
  return digest === null || maskDigest === null ? null : { kind: 'rsa-oaep', digest, maskDigest, label };
}

/** Algorithm identifier and encrypted key for one recipient. */
export type TransportedKey = { algorithm: Buffer; encryptedKey: Buffer };

/**
 * Encrypts a content-encryption key for the holder of an RSA certificate; OAEP with SHA-256 in both places.
 *
 * @throws SealgateError `pki.unsupported-key`
 */
export function transportKey(
  name: KeyTransportName,
  certificate: Certificate,
  key: Uint8Array,
): TransportedKey {
  const { publicKey } = certificate;
  switch (name) {
    case 'rsa-pkcs1': {
      const encryptedKey = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, key);
      return { algorithm: algorithmIdentifier(rsaEncryption, der.nullValue()), encryptedKey };
    }
    case 'rsa-oaep': {
      const padding = constants.RSA_PKCS1_OAEP_PADDING;
      const encryptedKey = publicEncrypt({ key: publicKey, padding, oaepHash: 'sha256' }, key);
      return { algorithm: algorithmIdentifier(rsaesOaep, oaepParameters('sha256')), encryptedKey };
    }
    default:
      return unreachable(name);
  }
}

/** RSAES-OAEP-params with one digest in both places and an empty label (RFC 8017 §A.2.1). */
export function oaepParameters(digest: DigestName): Buffer {
  const hash = digestAlgorithmWithNull(digest);
  return der.sequence(der.explicit(0, hash), der.explicit(1, algorithmIdentifier(mgf1, hash)));
}
