import { diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { curveByName } from './curves.ts';

/** A certificate's key never changes, and a trial costs more than the rest of the check. */
const judged = new WeakMap<Certificate, string | null>();

/**
 * Why nobody can or should encrypt to the key itself, whatever the certificate allows; a sentence for people, null: nothing
 * stands against it. What is found here is found before a mail is made, and can be said of its recipient.
 *
 * @throws SealgateError `pki.unsupported-key`
 */
export function unusableForEncryption(certificate: Certificate): string | null {
  let verdict = judged.get(certificate);
  if (verdict === undefined) {
    verdict = judge(certificate.publicKey);
    judged.set(certificate, verdict);
  }
  return verdict;
}

function judge(key: KeyObject): string | null {
  const { namedCurve, publicExponent = 65_537n } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      // With 1 the ciphertext is the plaintext; an even one has no private key.
      return publicExponent >= 3n && publicExponent % 2n === 1n
        ? null
        : `The RSA key of this certificate has the public exponent ${publicExponent} and protects nothing.`;
    case 'ec':
      return curveByName(namedCurve) === null
        ? `The key of this certificate is on the elliptic curve ${namedCurve}, which mail is not encrypted to.`
        : null;
    case 'x25519':
      return givesSecrets(key, generateKeyPairSync('x25519').privateKey);
    case 'x448':
      return givesSecrets(key, generateKeyPairSync('x448').privateKey);
    default:
      return null;
  }
}

/** RFC 7748 §6.1 and §6.2: with a point of small order the secret is zero, for everybody. */
function givesSecrets(publicKey: KeyObject, privateKey: KeyObject): string | null {
  try {
    diffieHellman({ privateKey, publicKey }).fill(0);
    return null;
  } catch {
    return 'The key of this certificate is damaged: no secret can be agreed on with it.';
  }
}
