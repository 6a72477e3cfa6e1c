import { constants, createPublicKey, type KeyObject, verify as verifyNow } from 'node:crypto';
import * as der from '../asn1/writer.ts';
import { unreachable } from '../errors.ts';
import { parseSubjectPublicKeyInfo } from '../pki/public-key.ts';
import { signatureAlgorithm, type VerifiableScheme } from './signatures.ts';

/** Key types of node:crypto by scheme: a key never serves another algorithm than its own. */
const KEY_TYPES: Record<VerifiableScheme['kind'], readonly string[]> = {
  'rsa-pkcs1': ['rsa'],
  'rsa-pss': ['rsa', 'rsa-pss'],
  ecdsa: ['ec'],
  dsa: ['dsa'],
  eddsa: ['ed25519', 'ed448'],
  'ml-dsa': ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'],
};

/** Whether `signature` is one over `data` by the holder of `key`. Never throws: what cannot be verified is not good. */
export function verifyScheme(
  scheme: VerifiableScheme,
  data: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  const type = key.asymmetricKeyType ?? '';
  if (!KEY_TYPES[scheme.kind].includes(type)) return false;
  if (scheme.kind === 'eddsa' && type !== scheme.curve.toLowerCase()) return false;
  if (scheme.kind === 'ml-dsa' && type !== scheme.parameterSet.toLowerCase()) return false;
  try {
    switch (scheme.kind) {
      case 'rsa-pkcs1':
        return verifyNow(scheme.digest, data, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
      case 'rsa-pss': {
        const { saltOctets: saltLength } = scheme;
        const padding = constants.RSA_PKCS1_PSS_PADDING;
        const options = { key: withMaskDigest(key, scheme), padding, saltLength };
        return verifyNow(scheme.digest, data, options, signature);
      }
      case 'ecdsa':
      case 'dsa':
        return verifyNow(scheme.digest, data, { key, dsaEncoding: 'der' }, signature);
      case 'eddsa':
      case 'ml-dsa':
        return verifyNow(null, data, key, signature);
      default:
        return unreachable(scheme);
    }
  } catch {
    // OpenSSL reports some impossible signatures (wrong length, salt longer than the key) by an error.
    return false;
  }
}

/**
 * An RSA key for MGF1 with another digest than the message's. node:crypto has no such setting, but takes it from a key
 * that is restricted to it (RFC 4055 §1.2). A key that is restricted already stays as it is.
 */
function withMaskDigest(key: KeyObject, scheme: VerifiableScheme & { kind: 'rsa-pss' }): KeyObject {
  if (scheme.maskDigest === scheme.digest || key.asymmetricKeyType !== 'rsa') return key;
  const { subjectPublicKey } = parseSubjectPublicKeyInfo(key.export({ type: 'spki', format: 'der' }));
  const restricted = der.sequence(
    signatureAlgorithm(scheme, scheme.maskDigest),
    der.bitString(subjectPublicKey),
  );
  return createPublicKey({ key: restricted, format: 'der', type: 'spki' });
}
