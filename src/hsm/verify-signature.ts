import { constants, type KeyObject, verify } from 'node:crypto';
import type { SignatureScheme } from '../cms/keys.ts';
import { unreachable } from '../errors.ts';

/** How node:crypto is told a scheme, for signing and for verifying. */
export function cryptoParameters(scheme: SignatureScheme): {
  digest: string | null;
  options: { padding?: number; saltLength?: number; dsaEncoding?: 'der' };
} {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      return { digest: scheme.digest, options: { padding: constants.RSA_PKCS1_PADDING } };
    case 'rsa-pss':
      return {
        digest: scheme.digest,
        options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: scheme.saltOctets },
      };
    case 'ecdsa':
      return { digest: scheme.digest, options: { dsaEncoding: 'der' } };
    case 'eddsa':
    case 'ml-dsa':
      return { digest: null, options: {} };
    default:
      return unreachable(scheme);
  }
}

/** Whether a private key's own signature fits the public key of its certificate. On the thread pool. */
export function verifySignature(
  key: KeyObject,
  scheme: SignatureScheme,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const { digest, options } = cryptoParameters(scheme);
  return new Promise((resolve, reject) => {
    verify(digest, data, { key, ...options }, signature, (error, good) => {
      if (error === null) resolve(good);
      else reject(error);
    });
  });
}
