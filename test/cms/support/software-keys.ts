import {
  constants,
  createPrivateKey,
  createPublicKey,
  decapsulate,
  diffieHellman,
  type KeyObject,
  privateDecrypt,
  sign as signNow,
} from 'node:crypto';
import type {
  DecryptionKey,
  KeyTransportScheme,
  SignatureScheme,
  SigningKey,
} from '../../../src/cms/keys.ts';
import { SealgateError } from '../../../src/errors.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';

/** The key interfaces over KeyObjects, as small as they can be. */

export function signingKey(
  privateKey: KeyObject,
  certificate: Certificate,
  schemes: readonly SignatureScheme[],
  chain: readonly Certificate[] = [],
): SigningKey {
  return {
    label: 'test',
    certificate,
    chain,
    schemes,
    sign(scheme, data) {
      switch (scheme.kind) {
        case 'rsa-pkcs1':
          return Promise.resolve(
            signNow(scheme.digest, data, { key: privateKey, padding: constants.RSA_PKCS1_PADDING }),
          );
        case 'rsa-pss': {
          const options = {
            key: privateKey,
            padding: constants.RSA_PKCS1_PSS_PADDING,
            saltLength: scheme.saltOctets,
          };
          return Promise.resolve(signNow(scheme.digest, data, options));
        }
        case 'ecdsa':
          return Promise.resolve(signNow(scheme.digest, data, { key: privateKey, dsaEncoding: 'der' }));
        case 'eddsa':
        case 'ml-dsa':
          return Promise.resolve(signNow(null, data, privateKey));
      }
    },
  };
}

export function decryptionKey(privateKey: KeyObject, certificate: Certificate): DecryptionKey {
  return {
    label: 'test',
    certificate,
    decryptKey: async (scheme, encryptedKey) => decryptTransported(privateKey, scheme, encryptedKey),
    agree: async (originator) => {
      const publicKey = createPublicKey({ key: Buffer.from(originator), format: 'der', type: 'spki' });
      return diffieHellman({ privateKey, publicKey });
    },
    decapsulate: async (ciphertext) => decapsulate(privateKey, ciphertext),
  };
}

function decryptTransported(key: KeyObject, scheme: KeyTransportScheme, encryptedKey: Uint8Array): Buffer {
  if (scheme.kind === 'rsa-pkcs1') {
    return privateDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, encryptedKey);
  }
  if (scheme.digest !== scheme.maskDigest) {
    throw new SealgateError({
      code: 'key.refused',
      publicText: 'Two digests in OAEP.',
      duration: 'permanent',
    });
  }
  const label = scheme.label.length === 0 ? {} : { oaepLabel: scheme.label };
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return privateDecrypt({ key, padding, oaepHash: scheme.digest, ...label }, encryptedKey);
}

export function privateKeyFromPem(pem: string | Buffer): KeyObject {
  return createPrivateKey(pem);
}
