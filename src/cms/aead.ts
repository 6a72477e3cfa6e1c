import { type CipherCCMTypes, type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto';
import type { Element } from '../asn1/element.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { octetString, smallInteger } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';
import { ccmCipher, ccmCounts, ccmDecipher } from './ccm.ts';
import { type ContentCipher, type ContentDecipher, finalOrNull } from './content-cipher.ts';
import { freshOctets } from './fresh-octets.ts';

/**
 * Authenticated encryption of content: AES-GCM and AES-CCM (RFC 5084), ChaCha20-Poly1305 (RFC 8103).
 *
 * Must never happen: a part of the content given out before the tag has been checked.
 */

export type AeadCipher =
  | { mode: 'gcm'; cipher: CipherGCMTypes }
  | { mode: 'ccm'; cipher: CipherCCMTypes }
  | { mode: 'chacha20-poly1305' };

/** Nonce and length of the tag, octets. */
export type AeadParameters = { nonce: Buffer; tagOctets: number };

/** Of what we write. */
export const TAG_OCTETS = 16;

/**
 * `GCMParameters` and `CCMParameters ::= SEQUENCE { aes-nonce OCTET STRING, aes-ICVlen INTEGER DEFAULT 12 }`
 * (RFC 5084 §3.1, §3.2); `AEADChaCha20Poly1305Nonce ::= OCTET STRING (SIZE(12))` (RFC 8103 §3).
 *
 * @returns null: lengths that are not allowed
 * @throws SealgateError `asn1.malformed`
 */
export function readAeadParameters({ mode }: AeadCipher, element: Element): AeadParameters | null {
  if (mode === 'chacha20-poly1305') {
    const nonce = octetString(element, 'BER');
    return nonce.length === 12 ? { nonce, tagOctets: TAG_OCTETS } : null;
  }
  const reader = sequenceOf(element, 'BER', 'GCMParameters or CCMParameters');
  const nonce = octetString(reader.next('aes-nonce'), 'BER');
  const tagOctets = reader.atEnd ? 12 : smallInteger(reader.next('aes-ICVlen'));
  reader.end();
  // CCM allows tags from 4 octets; a short one is a forger's, and nothing protects the parameter itself.
  if (tagOctets < 12 || tagOctets > 16) return null;
  if (mode === 'gcm') return nonce.length >= 8 && nonce.length <= 64 ? { nonce, tagOctets } : null;
  return nonce.length >= 7 && nonce.length <= 13 && tagOctets % 2 === 0 ? { nonce, tagOctets } : null;
}

/** A fresh nonce and the parameters that say so, encoded. */
export function newAeadParameters({ mode }: AeadCipher): { nonce: Buffer; encoded: Buffer } {
  // CCM counts the content's octets in what the nonce leaves of 15: 4 of them are enough for any mail.
  const nonce = freshOctets(mode === 'ccm' ? 11 : 12);
  const aesNonce = der.octetString(nonce);
  const encoded = mode === 'chacha20-poly1305' ? aesNonce : der.sequence(aesNonce, der.integer(TAG_OCTETS));
  return { nonce, encoded };
}

/**
 * Begins to encrypt. Key and nonce have to be fresh, so that a nonce can never meet a key again.
 *
 * @param octets of the content
 */
export function aeadCipher(
  aead: AeadCipher,
  key: Uint8Array,
  nonce: Uint8Array,
  octets: number,
): ContentCipher {
  if (aead.mode === 'ccm') {
    if (!ccmCounts(nonce, octets)) throw new Error('content that CCM cannot count');
    const associated = Buffer.alloc(0);
    return ccmCipher(key, { cipher: aead.cipher, nonce, tagOctets: TAG_OCTETS, associated, octets });
  }
  const options = { authTagLength: TAG_OCTETS };
  const cipher =
    aead.mode === 'gcm'
      ? createCipheriv(aead.cipher, key, nonce, options)
      : createCipheriv('chacha20-poly1305', key, nonce, options);
  return {
    update: (content) => cipher.update(content),
    finish: () => ({ rest: cipher.final(), mac: cipher.getAuthTag() }),
  };
}

/** What is sealed: how long its ciphertext is, and what the tag covers besides (empty: nothing). */
export type Sealed = { octets: number; tag: Buffer; associated: Buffer };

/** Whether somebody can have sealed it. */
export function isSealable(aead: AeadCipher, { nonce, tagOctets }: AeadParameters, sealed: Sealed): boolean {
  return sealed.tag.length === tagOctets && (aead.mode !== 'ccm' || ccmCounts(nonce, sealed.octets));
}

/** @param sealed `isSealable` */
export function aeadDecipher(
  aead: AeadCipher,
  key: Uint8Array,
  { nonce, tagOctets }: AeadParameters,
  { octets, tag, associated }: Sealed,
): ContentDecipher {
  if (aead.mode === 'ccm') {
    return ccmDecipher(key, { cipher: aead.cipher, nonce, tagOctets, associated, octets }, tag);
  }
  const options = { authTagLength: tagOctets };
  const decipher =
    aead.mode === 'gcm'
      ? createDecipheriv(aead.cipher, key, nonce, options)
      : createDecipheriv('chacha20-poly1305', key, nonce, options);
  decipher.setAuthTag(tag);
  if (associated.length > 0) decipher.setAAD(associated);
  return {
    update: (ciphertext) => decipher.update(ciphertext),
    finish: () => finalOrNull(() => decipher.final()),
  };
}
