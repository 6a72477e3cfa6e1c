import { type Decryption, decryptWith, type SharedSecrets } from './decryption.ts';
import { readEnvelopedData } from './enveloped-data.ts';
import type { DecryptionKey } from './keys.ts';
import { openContent } from './openable-content.ts';

/** Opens EnvelopedData and AuthEnvelopedData; see decryption.ts for what holds. */

export type { SharedSecrets };
export type DecryptOutcome = Decryption<Buffer>;

/**
 * Tries every key whose certificate a RecipientInfo names, until one opens the content.
 *
 * @param octets ContentInfo, BER or DER
 * @param keys every key the reader ever held
 * @param secrets tried besides; none in mail
 * @throws SealgateError `cms.malformed` when the structure cannot be read; a key's temporary error
 *   (`key.unavailable`) when no other key opens the content
 */
export async function decrypt(
  octets: Buffer,
  keys: readonly DecryptionKey[],
  secrets: SharedSecrets = {},
): Promise<DecryptOutcome> {
  const enveloped = readEnvelopedData(octets);
  const { ciphertext } = enveloped;
  const shape = { octets: ciphertext.length, end: ciphertext };
  return decryptWith(enveloped, shape, keys, secrets, (openable, key) =>
    openContent(openable, ciphertext, key),
  );
}
