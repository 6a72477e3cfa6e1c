import type { Certificate } from '../pki/certificate.ts';

/**
 * The two key interfaces. CMS asks for an operation and never sees a private key: a software key, a token in a
 * key process and a card are the same to it. Implementations: src/hsm.
 *
 * Both throw SealgateError: `key.unavailable` (temporary: token away, process restarting), `key.pin-…` (the PIN is not there, or
 * not right: nobody knows yet what the key would have said), `key.refused` (permanent: mechanism not offered, key usage), and decryptKey/agree/decapsulate throw `key.decrypt-failed` where the
 * implementation cannot hide it; the caller makes all decryption failures look alike (RFC 3218).
 */

export type DigestName = 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512';

/** How the octets are to be signed. `data` is not hashed yet: tokens with combined mechanisms hash themselves. */
export type SignatureScheme =
  | { kind: 'rsa-pkcs1'; digest: DigestName }
  | { kind: 'rsa-pss'; digest: DigestName; saltOctets: number }
  | { kind: 'ecdsa'; digest: DigestName }
  | { kind: 'eddsa'; curve: 'Ed25519' | 'Ed448' }
  | { kind: 'ml-dsa'; parameterSet: 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87' };

export interface SigningKey {
  /** Name in the configuration; for log lines. */
  readonly label: string;
  readonly certificate: Certificate;
  /** Intermediates to send along, nearest first; no root. */
  readonly chain: readonly Certificate[];
  /** Schemes the key can do, most preferred first. */
  readonly schemes: readonly SignatureScheme[];
  /** Signature as CMS wants it: ECDSA as DER Ecdsa-Sig-Value. */
  sign(scheme: SignatureScheme, data: Uint8Array): Promise<Buffer>;
}

export type KeyTransportScheme =
  | { kind: 'rsa-pkcs1' }
  | { kind: 'rsa-oaep'; digest: DigestName; maskDigest: DigestName; label: Uint8Array };

export interface DecryptionKey {
  readonly label: string;
  readonly certificate: Certificate;
  /** false: an RSA key that cannot be used with OAEP, on a token without the mechanisms. Absent: it can. */
  readonly readsOaep?: boolean;
  /** Whether a use is served without anybody being asked for a PIN, as of now. Absent: it is. */
  readonly isOpen?: boolean;
  /** Whether it is at hand, as of now: its token is there and the PIN known, which it may want at each use all the same. Absent: it is. */
  readonly isThere?: boolean;
  /**
   * RSA key transport (RFC 8017 §7). For rsa-pkcs1 a padding error gives random octets or throws;
   * the caller must treat both like a wrong key.
   */
  decryptKey(scheme: KeyTransportScheme, encryptedKey: Uint8Array): Promise<Buffer>;
  /** Raw ECDH/X25519/X448 shared secret Z with the originator's SubjectPublicKeyInfo (DER). */
  agree(originatorPublicKey: Uint8Array): Promise<Buffer>;
  /**
   * Shared secret of an ML-KEM ciphertext (FIPS 203 §7.3), 32 octets. A ciphertext that was changed gives another
   * secret, not an error.
   */
  decapsulate(ciphertext: Uint8Array): Promise<Buffer>;
}
