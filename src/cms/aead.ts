import {
  type CipherCCMTypes,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  randomBytes,
} from 'node:crypto';
import type { Element } from '../asn1/element.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { octetString, smallInteger } from '../asn1/values.ts';
import * as der from '../asn1/writer.ts';

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

const TAG_OCTETS = 16;

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
  const nonce = randomBytes(mode === 'ccm' ? 11 : 12);
  const aesNonce = der.octetString(nonce);
  const encoded = mode === 'chacha20-poly1305' ? aesNonce : der.sequence(aesNonce, der.integer(TAG_OCTETS));
  return { nonce, encoded };
}

/** Encrypts. Key and nonce have to be fresh, so that a nonce can never meet a key again. */
export function seal(
  aead: AeadCipher,
  key: Uint8Array,
  nonce: Uint8Array,
  content: Uint8Array,
): { ciphertext: Buffer; tag: Buffer } {
  const cipher = cipherFor(aead, key, nonce);
  const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
  return { ciphertext, tag: cipher.getAuthTag() };
}

function cipherFor(aead: AeadCipher, key: Uint8Array, nonce: Uint8Array) {
  const options = { authTagLength: TAG_OCTETS };
  switch (aead.mode) {
    case 'gcm':
      return createCipheriv(aead.cipher, key, nonce, options);
    case 'ccm':
      return createCipheriv(aead.cipher, key, nonce, options);
    case 'chacha20-poly1305':
      return createCipheriv('chacha20-poly1305', key, nonce, options);
  }
}

/**
 * @param associated what the tag covers besides; empty: nothing
 * @returns null: wrong key or damage, which nobody can tell apart
 */
export function unseal(
  aead: AeadCipher,
  key: Uint8Array,
  { nonce, tagOctets }: AeadParameters,
  sealed: { ciphertext: Buffer; tag: Buffer },
  associated: Buffer,
): Buffer | null {
  const { ciphertext, tag } = sealed;
  if (tag.length !== tagOctets) return null;
  const options = { authTagLength: tagOctets };
  if (aead.mode === 'ccm') {
    // More than its length field can count was never encrypted.
    if (ciphertext.length >= 2 ** (8 * (15 - nonce.length))) return null;
    const decipher = createDecipheriv(aead.cipher, key, nonce, options);
    decipher.setAuthTag(tag);
    decipher.setAAD(associated, { plaintextLength: ciphertext.length });
    return checked(() => {
      const content = decipher.update(ciphertext);
      decipher.final();
      return content;
    });
  }
  const decipher =
    aead.mode === 'gcm'
      ? createDecipheriv(aead.cipher, key, nonce, options)
      : createDecipheriv('chacha20-poly1305', key, nonce, options);
  decipher.setAuthTag(tag);
  if (associated.length > 0) decipher.setAAD(associated);
  const content = decipher.update(ciphertext);
  const authentic = checked(() => decipher.final());
  if (authentic !== null) return content;
  content.fill(0);
  return null;
}

function checked(finish: () => Buffer): Buffer | null {
  try {
    return finish();
  } catch {
    // One answer for every reason; what the reason was is told to nobody (RFC 3218 §2.3).
    return null;
  }
}
