import type { KeyObject } from 'node:crypto';
import { type Element, universal } from '../../asn1/element.ts';
import { sequenceOf } from '../../asn1/sequence-reader.ts';
import { octetString } from '../../asn1/values.ts';
import * as der from '../../asn1/writer.ts';
import type { Secret } from '../../log/secret.ts';
import { writePem } from '../../pki/pem.ts';
import { decryptPbe, type PasswordReader } from './pbe.ts';
import { type EncryptedOctets, encryptPbes2, NewPassword } from './pbe-writer.ts';

/**
 * Private keys as PKCS#8 (RFC 5208), alone or encrypted. A ciphertext has no MAC here: whoever loads a key has to try it
 * (pair-keys.ts).
 */

/** One derivation for the whole file; OWASP's figure for HMAC-SHA-256. */
const ITERATIONS = 600_000;

/**
 * The plain PrivateKeyInfo of an encrypted one (RFC 5208 §6).
 *
 * @returns the caller's to clear
 * @throws SealgateError `key.passphrase-incorrect`, `key.file-unsupported`, `key.file-malformed`, `asn1.malformed`
 */
export async function readEncryptedPrivateKeyInfo(
  element: Element,
  password: PasswordReader,
): Promise<Buffer> {
  // EncryptedPrivateKeyInfo ::= SEQUENCE { encryptionAlgorithm, encryptedData OCTET STRING }
  const info = sequenceOf(element, 'BER', 'EncryptedPrivateKeyInfo');
  const algorithm = info.universal(universal.sequence, 'encryptionAlgorithm');
  const encrypted = octetString(info.next('encryptedData'), 'BER');
  info.end();
  return await decryptPbe(algorithm, encrypted, password);
}

/** EncryptedPrivateKeyInfo, DER. */
export async function encryptedPrivateKeyInfo(
  key: KeyObject,
  encrypt: (plain: Buffer) => Promise<EncryptedOctets>,
): Promise<Buffer> {
  const plain = key.export({ type: 'pkcs8', format: 'der' });
  try {
    const { algorithm, encrypted } = await encrypt(plain);
    return der.sequence(algorithm, der.octetString(encrypted));
  } finally {
    plain.fill(0);
  }
}

/**
 * A private key as PEM (RFC 7468 §10, §11): with a passphrase under PBES2, PBKDF2-HMAC-SHA-256 and AES-256-CBC.
 *
 * @param passphrase null: in the clear
 * @param iterations 2,048 to 2,000,000
 * @throws SealgateError `key.passphrase-unusable`
 */
export async function writePrivateKey(
  key: KeyObject,
  passphrase: Secret | null,
  iterations = ITERATIONS,
): Promise<string> {
  if (passphrase === null) {
    const plain = key.export({ type: 'pkcs8', format: 'der' });
    const text = writePem('PRIVATE KEY', plain);
    plain.fill(0);
    return text;
  }
  using password = new NewPassword(passphrase, iterations);
  const info = await encryptedPrivateKeyInfo(key, (plain) => encryptPbes2(plain, password));
  return writePem('ENCRYPTED PRIVATE KEY', info);
}
