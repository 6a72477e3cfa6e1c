import { createCipheriv, createDecipheriv } from 'node:crypto';
import { type AlgorithmIdentifier, algorithmIdentifier, hasNoParameters } from './algorithm-identifier.ts';

/** AES key wrap (RFC 3394, RFC 3565 §2.3.2). */
export type KeyWrap = { oid: string; keyOctets: 16 | 24 | 32; cipher: string };

const TABLE: readonly KeyWrap[] = [
  { oid: '2.16.840.1.101.3.4.1.5', keyOctets: 16, cipher: 'id-aes128-wrap' },
  { oid: '2.16.840.1.101.3.4.1.25', keyOctets: 24, cipher: 'id-aes192-wrap' },
  { oid: '2.16.840.1.101.3.4.1.45', keyOctets: 32, cipher: 'id-aes256-wrap' },
];

/** RFC 3394 §2.2.3.1. */
const INITIAL_VALUE = Buffer.alloc(8, 0xa6);

/** null: not supported. */
export function resolveKeyWrap(algorithm: AlgorithmIdentifier): KeyWrap | null {
  if (!hasNoParameters(algorithm)) return null;
  return TABLE.find((row) => row.oid === algorithm.oid) ?? null;
}

/** The wrap whose own key is as long as the key to be wrapped, so that neither is the weaker one (RFC 5753 §8). */
export function keyWrapFor(keyOctets: number): KeyWrap {
  const row = TABLE.find((candidate) => candidate.keyOctets === keyOctets);
  if (row === undefined) throw new Error(`no key wrap for ${keyOctets} octets`);
  return row;
}

/** Parameters absent (RFC 3565 §2.3.2). */
export function keyWrapAlgorithm(wrap: KeyWrap): Buffer {
  return algorithmIdentifier(wrap.oid);
}

export function wrapKey(wrap: KeyWrap, keyEncryptionKey: Uint8Array, key: Uint8Array): Buffer {
  const cipher = createCipheriv(wrap.cipher, keyEncryptionKey, INITIAL_VALUE);
  return Buffer.concat([cipher.update(key), cipher.final()]);
}

/** null: the integrity check failed, so the key-encryption key is another one. */
export function unwrapKey(wrap: KeyWrap, keyEncryptionKey: Uint8Array, wrapped: Uint8Array): Buffer | null {
  if (wrapped.length < 24 || wrapped.length > 72 || wrapped.length % 8 !== 0) return null;
  const decipher = createDecipheriv(wrap.cipher, keyEncryptionKey, INITIAL_VALUE);
  try {
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch {
    // OpenSSL's only answer to a wrong integrity value.
    return null;
  }
}
