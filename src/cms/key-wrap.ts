import { createCipheriv, createDecipheriv } from 'node:crypto';
import { type AlgorithmIdentifier, algorithmIdentifier, hasNoParameters } from './algorithm-identifier.ts';

/** AES key wrap (RFC 3394, RFC 3565 §2.3.2); the one of Triple-DES (RFC 3217 §3) is only read. */
export type KeyWrap = { oid: string; keyOctets: 16 | 24 | 32; cipher: string; initialValue: Buffer | null };

/** RFC 3394 §2.2.3.1. */
const INITIAL_VALUE = Buffer.alloc(8, 0xa6);

const AES: readonly KeyWrap[] = [
  { oid: '2.16.840.1.101.3.4.1.5', keyOctets: 16, cipher: 'id-aes128-wrap', initialValue: INITIAL_VALUE },
  { oid: '2.16.840.1.101.3.4.1.25', keyOctets: 24, cipher: 'id-aes192-wrap', initialValue: INITIAL_VALUE },
  { oid: '2.16.840.1.101.3.4.1.45', keyOctets: 32, cipher: 'id-aes256-wrap', initialValue: INITIAL_VALUE },
];

const TRIPLE_DES: KeyWrap = {
  oid: '1.2.840.113549.1.9.16.3.6',
  keyOctets: 24,
  cipher: 'id-smime-alg-CMS3DESwrap',
  initialValue: null,
};

/** null: not supported. */
export function resolveKeyWrap(algorithm: AlgorithmIdentifier): KeyWrap | null {
  if (!hasNoParameters(algorithm)) return null;
  return [...AES, TRIPLE_DES].find((row) => row.oid === algorithm.oid) ?? null;
}

/** The wrap whose own key is as long as the key to be wrapped, so that neither is the weaker one (RFC 5753 §8). */
export function keyWrapFor(keyOctets: number): KeyWrap {
  const row = AES.find((candidate) => candidate.keyOctets === keyOctets);
  if (row === undefined) throw new Error(`no key wrap for ${keyOctets} octets`);
  return row;
}

/** Parameters absent (RFC 3565 §2.3.2). */
export function keyWrapAlgorithm(wrap: KeyWrap): Buffer {
  return algorithmIdentifier(wrap.oid);
}

export function wrapKey(wrap: KeyWrap, keyEncryptionKey: Uint8Array, key: Uint8Array): Buffer {
  const cipher = createCipheriv(wrap.cipher, keyEncryptionKey, wrap.initialValue);
  return Buffer.concat([cipher.update(key), cipher.final()]);
}

/** null: the integrity check failed, so the key-encryption key is another one. */
export function unwrapKey(wrap: KeyWrap, keyEncryptionKey: Uint8Array, wrapped: Uint8Array): Buffer | null {
  if (wrapped.length < 24 || wrapped.length > 72 || wrapped.length % 8 !== 0) return null;
  try {
    const decipher = createDecipheriv(wrap.cipher, keyEncryptionKey, wrap.initialValue);
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch {
    // OpenSSL's only answer to a wrong integrity value.
    return null;
  }
}
