import {
  createPrivateKey,
  createPublicKey,
  decapsulate,
  encapsulate,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { chainOf } from '../chain.ts';
import type { LoadedKey } from '../loaded-key.ts';
import { malformedKeyFile } from './key-file-error.ts';

/** Which certificate belongs to which private key: by the public key, never by order or by name. */

export type FoundKey = { privateKey: KeyObject; friendlyName: string | null };

/**
 * One LoadedKey for each pair; several certificates for one key give several.
 *
 * @param name before each label. One pair is called so; of several each `name/friendlyName` or `name/2`. Empty: the label is
 *   the rest, and that of one pair is empty
 * @throws SealgateError `key.no-certificate`
 */
export function pairKeys(
  name: string,
  keys: readonly FoundKey[],
  certificates: readonly Certificate[],
): LoadedKey[] {
  const pairs = keys.flatMap((key) => {
    const publicKey = createPublicKey(key.privateKey);
    return certificates
      .filter((certificate) => isSameKey(certificate, publicKey))
      .map((certificate) => ({ key, certificate }));
  });
  if (pairs.length === 0) {
    throw noCertificate(`${keys.length} private keys, ${certificates.length} certificates`);
  }
  for (const { key, certificate } of pairs) requireWorking(key.privateKey, certificate.publicKey);
  const used = new Set<string>();
  return pairs.map(({ key, certificate }, index) => ({
    label:
      pairs.length === 1
        ? name
        : uniqueLabel(`${name === '' ? '' : `${name}/`}${key.friendlyName ?? index + 1}`, used),
    certificate,
    chain: chainOf(certificate, certificates),
    privateKey: key.privateKey,
  }));
}

function noCertificate(reason: string): SealgateError {
  return new SealgateError({
    code: 'key.no-certificate',
    publicText: `No certificate here belongs to the private key; put the certificate issued for it next to it.`,
    duration: 'permanent',
    reason,
  });
}

/**
 * For a pair that is to be handed to somebody.
 *
 * @throws SealgateError `key.no-certificate`, `key.file-malformed`
 */
export function requireWorkingPair(privateKey: KeyObject, certificate: Certificate): void {
  if (!isSameKey(certificate, createPublicKey(privateKey))) throw noCertificate('another key');
  requireWorking(privateKey, certificate.publicKey);
}

/**
 * Tries the pair. The public numbers may be right and the private ones damaged: no MAC is over an encrypted PKCS#8 file, and
 * OpenSSL takes what it is given. A signature with such an RSA key can give the key away.
 *
 * @throws SealgateError `key.file-malformed`
 */
function requireWorking(privateKey: KeyObject, publicKey: KeyObject): void {
  let works = false;
  try {
    works = doWork(privateKey, publicKey);
  } catch (cause) {
    throw malformedKeyFile('a private key that does not work', cause);
  }
  if (!works) throw malformedKeyFile('a private key that does not work');
}

function doWork(privateKey: KeyObject, publicKey: KeyObject): boolean {
  const trial = randomBytes(32);
  switch (privateKey.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
    case 'ec': {
      const digest = privateKey.asymmetricKeyDetails?.hashAlgorithm ?? 'sha256';
      return verify(digest, trial, publicKey, sign(digest, trial, privateKey));
    }
    case 'ed25519':
    case 'ed448':
    case 'ml-dsa-44':
    case 'ml-dsa-65':
    case 'ml-dsa-87':
      return verify(null, trial, publicKey, sign(null, trial, privateKey));
    case 'ml-kem-512':
    case 'ml-kem-768':
    case 'ml-kem-1024': {
      const { sharedKey, ciphertext } = encapsulate(publicKey);
      return decapsulate(privateKey, ciphertext).equals(sharedKey);
    }
    default:
      // X25519 and X448: the public key was computed from the private one.
      return true;
  }
}

/** `alice/smime`, `alice/smime/2`, …: one name for the whole, and each its own in the log. */
function uniqueLabel(wanted: string, used: Set<string>): string {
  let label = wanted;
  for (let i = 2; used.has(label); i++) label = `${wanted}/${i}`;
  used.add(label);
  return label;
}

/** Whether a certificate is for a public key. */
export function isSameKey(certificate: Certificate, publicKey: KeyObject): boolean {
  try {
    const certified = certificate.publicKey;
    // KeyObject.equals leaves an error behind for keys of different kinds, which the next import then reports as its own.
    return (
      certified.asymmetricKeyType === publicKey.asymmetricKeyType &&
      certified.asymmetricKeyDetails?.namedCurve === publicKey.asymmetricKeyDetails?.namedCurve &&
      certified.equals(publicKey)
    );
  } catch (error) {
    // A CA's key of a kind that is not supported here is not this key.
    if (error instanceof SealgateError) return false;
    throw error;
  }
}

/**
 * @param type the structure: PrivateKeyInfo (RFC 5208 §5), RSAPrivateKey (RFC 8017 §A.1.2), ECPrivateKey (RFC 5915 §3)
 * @throws SealgateError `key.file-malformed`, `key.file-unsupported`
 */
export function importPrivateKey(der: Buffer, type: 'pkcs8' | 'pkcs1' | 'sec1'): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: der, format: 'der', type });
  } catch (cause) {
    throw malformedKeyFile('the private key', cause);
  }
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) > limits.pki.modulusBits) {
    throw malformedKeyFile('an RSA key that is too large');
  }
  return key;
}
