import { createHash, type KeyObject } from 'node:crypto';
import { tokenPublicKey } from './token-public-key.ts';

/** Numbers that a raw RSA operation is given. All of it is public. */

/**
 * Whether RSADP takes it (RFC 8017 §5.1.2 step 1, §7.1.2 step 1b, §7.2.2 step 1): tokens have errors of all kinds for a number
 * that is too large, and zero and one are nobody's encrypted key.
 */
export function isCiphertext(encrypted: Buffer, publicKey: KeyObject): boolean {
  const modulus = tokenPublicKey(publicKey)?.value;
  return (
    encrypted.length === modulus?.length &&
    encrypted.compare(modulus) < 0 &&
    (encrypted.subarray(0, -1).some((octet) => octet !== 0) || (encrypted.at(-1) ?? 0) > 1)
  );
}

/** A number below the modulus that follows from the public key (DER) alone. */
export function nothingUpTheSleeve(publicKey: Uint8Array, octets: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 32 < octets; i++) {
    parts.push(createHash('sha256').update(`implicit rejection ${i}`).update(publicKey).digest());
  }
  const number = Buffer.concat(parts, octets);
  number[0] = 0;
  return number;
}
