import type { SignatureScheme } from '../../cms/keys.ts';

/**
 * Where a private key is in one process's view of its token, and how it is used there. Found out once, when the token is opened;
 * valid in all sessions of the process, and made of what can be sent between threads.
 */
export type KeyHandle = {
  /** CK_OBJECT_HANDLE. */
  object: Uint8Array;
  /** DER of the SubjectPublicKeyInfo, with its parameters. */
  publicKey: Uint8Array;
  /** Length of the modulus, or of a coordinate of the curve. */
  octets: number;
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is sent for each use. */
  alwaysAuthenticate: boolean;
  /** Empty: the key does not sign. */
  signing: readonly SigningWay[];
  /** Most preferred first; empty: the key does not open PKCS#1 v1.5. */
  pkcs1: readonly OpeningWay[];
  /** Most preferred first; empty: the key does not open OAEP. */
  oaep: readonly OpeningWay[];
  /** CKM number; null: the key does not agree. */
  agreement: number | null;
};

/** One scheme and the mechanism that does it. */
export type SigningWay = {
  scheme: SignatureScheme;
  mechanism: number;
  /** What the mechanism is given: DigestInfo, the bare digest, or the message, which the token hashes itself. */
  input: 'digest-info' | 'digest' | 'message';
};

/**
 * `bare`: the RSA operation by the token, the padding here. `padded`: C_Decrypt with the padding's own mechanism. `unwrapped`:
 * C_UnwrapKey and reading what came of it, for tokens that do not let this key decrypt.
 */
export type OpeningWay = 'bare' | 'padded' | 'unwrapped';
