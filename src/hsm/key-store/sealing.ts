import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/**
 * The ciphers of the key store: AES-256-GCM under keys that are used once.
 *
 * Must never happen: one key and nonce for two texts. Both come from one derivation with a fresh random salt, and nothing else
 * is encrypted with them.
 */

export const MASTER_KEY_OCTETS = 32;
export const SALT_OCTETS = 32;
/** AES-256 key and nonce side by side. */
export const SEALING_OCTETS = 32 + 12;
const TAG_OCTETS = 16;

/** HKDF with SHA-256 (RFC 5869). @param info what it is for: no two uses have the same */
export function deriveSealing(master: Uint8Array, salt: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', master, salt, info, SEALING_OCTETS));
}

/**
 * @param sealing is cleared
 * @param associated authenticated, not encrypted
 * @returns ciphertext and tag
 */
export function seal(sealing: Buffer, associated: Uint8Array, plain: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', sealing.subarray(0, 32), sealing.subarray(32));
  sealing.fill(0);
  cipher.setAAD(associated);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** @param sealing is cleared @returns null: another key, or anything was changed */
export function unseal(sealing: Buffer, associated: Uint8Array, sealed: Buffer): Buffer | null {
  if (sealed.length < TAG_OCTETS) return null;
  const at = sealed.length - TAG_OCTETS;
  const decipher = createDecipheriv('aes-256-gcm', sealing.subarray(0, 32), sealing.subarray(32), {
    authTagLength: TAG_OCTETS,
  });
  sealing.fill(0);
  decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(at));
  const plain = decipher.update(sealed.subarray(0, at));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    // Wrong tag; there is nothing else that fails here.
    return null;
  } finally {
    plain.fill(0);
  }
}

/** HMAC-SHA-256 over clear text, under a key derived for it alone. */
export function authenticate(master: Uint8Array, info: string, text: string): Buffer {
  const key = Buffer.from(hkdfSync('sha256', master, Buffer.alloc(0), info, 32));
  const mac = createHmac('sha256', key).update(text).digest();
  key.fill(0);
  return mac;
}

export function isAuthentic(master: Uint8Array, info: string, text: string, mac: Buffer): boolean {
  const expected = authenticate(master, info, text);
  return mac.length === expected.length && timingSafeEqual(mac, expected);
}
