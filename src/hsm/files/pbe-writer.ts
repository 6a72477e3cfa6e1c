import { createCipheriv, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import * as der from '../../asn1/writer.ts';
import type { Secret } from '../../log/secret.ts';
import { passphraseUnusable } from './key-file-error.ts';
import { LONGEST_PASSWORD, MOST_ITERATIONS } from './pbe.ts';
import { bmpPassword, derivePkcs12 } from './pkcs12-kdf.ts';

/** Password-based encryption of key files: PBES2 (RFC 8018 §6.2), and what old programs read (RFC 7292 §C). */

/** OpenSSL's figure; fewer would be no hindrance at all. */
const FEWEST_ITERATIONS = 2_048;

/** A password that a new file is protected with. Disposing of it clears what was made of it. */
export class NewPassword implements Disposable {
  readonly text: Buffer;
  /** As the schemes of PKCS#12 take it. */
  readonly bmp: Buffer;
  readonly iterations: number;

  /**
   * @param iterations of each key derivation
   * @throws SealgateError `key.passphrase-unusable`: too long, or no text that every program would encode alike
   */
  constructor(password: Secret, iterations: number) {
    const text = password.reveal();
    if (text.length > LONGEST_PASSWORD || !text.isWellFormed() || text.includes('\0')) {
      throw passphraseUnusable();
    }
    if (!Number.isInteger(iterations) || iterations < FEWEST_ITERATIONS || iterations > MOST_ITERATIONS) {
      throw new RangeError(
        `${iterations} iterations are not between ${FEWEST_ITERATIONS} and ${MOST_ITERATIONS}`,
      );
    }
    this.text = Buffer.from(text, 'utf8');
    this.bmp = bmpPassword(text);
    this.iterations = iterations;
  }

  [Symbol.dispose](): void {
    this.text.fill(0);
    this.bmp.fill(0);
  }
}

export type EncryptedOctets = { algorithm: Buffer; encrypted: Buffer };

/** PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC. */
export async function encryptPbes2(plain: Uint8Array, password: NewPassword): Promise<EncryptedOctets> {
  const { algorithm: derivation, key } = await pbkdf2Algorithm(password, 32, 'without-length');
  const iv = randomBytes(16);
  const encrypted = encryptCbc('aes-256-cbc', key, iv, plain);
  key.fill(0);
  const scheme = der.sequence(der.oid('2.16.840.1.101.3.4.1.42'), der.octetString(iv));
  const algorithm = der.sequence(der.oid('1.2.840.113549.1.5.13'), der.sequence(derivation, scheme));
  return { algorithm, encrypted };
}

/** pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 §C), for programs that know nothing newer. */
export async function encryptTripleDes(plain: Uint8Array, password: NewPassword): Promise<EncryptedOctets> {
  const { bmp, iterations } = password;
  const salt = randomBytes(16);
  const key = await derivePkcs12('sha1', 'key', bmp, salt, iterations, 24);
  const iv = await derivePkcs12('sha1', 'iv', bmp, salt, iterations, 8);
  const encrypted = encryptCbc('des-ede3-cbc', key, iv, plain);
  key.fill(0);
  const parameters = der.sequence(der.octetString(salt), der.integer(iterations));
  return { algorithm: der.sequence(der.oid('1.2.840.113549.1.12.1.3'), parameters), encrypted };
}

/**
 * A fresh key by PBKDF2 (RFC 8018 §A.2) and the identifier that says how it is made.
 *
 * @param octets of the key
 * @param length whether keyLength is written: RFC 9579 needs it, and old readers of PBES2 stumble over it
 */
export async function pbkdf2Algorithm(
  password: NewPassword,
  octets: number,
  length: 'with-length' | 'without-length',
): Promise<{ algorithm: Buffer; key: Buffer }> {
  const salt = randomBytes(16);
  const key = await promisify(pbkdf2)(password.text, salt, password.iterations, octets, 'sha256');
  const hmacWithSha256 = der.sequence(der.oid('1.2.840.113549.2.9'), der.nullValue());
  const parameters = der.sequence(
    der.octetString(salt),
    der.integer(password.iterations),
    ...(length === 'with-length' ? [der.integer(octets)] : []),
    hmacWithSha256,
  );
  return { algorithm: der.sequence(der.oid('1.2.840.113549.1.5.12'), parameters), key };
}

function encryptCbc(name: string, key: Buffer, iv: Buffer, plain: Uint8Array): Buffer {
  const cipher = createCipheriv(name, key, iv);
  return Buffer.concat([cipher.update(plain), cipher.final()]);
}
