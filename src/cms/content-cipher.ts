/**
 * Content on its way through a cipher, piece by piece.
 *
 * Must never happen: what `update` gave of a decryption shown to anybody before `finish` found it good.
 */

export interface ContentDecipher {
  update(ciphertext: Uint8Array): Buffer;
  /** What is left; null: wrong key or damage, which nobody can tell apart. */
  finish(): Buffer | null;
}

export interface ContentCipher {
  update(content: Uint8Array): Buffer;
  /** `mac` null: the algorithm does not authenticate. */
  finish(): { rest: Buffer; mac: Buffer | null };
}

/**
 * node:crypto's answer to a wrong tag or padding is an error. One answer for every reason; what the reason was is told to
 * nobody (RFC 3218 §2.3).
 */
export function finalOrNull(final: () => Buffer): Buffer | null {
  try {
    return final();
  } catch {
    return null;
  }
}
