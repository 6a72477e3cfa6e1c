import { beginEncryption, type ContentEncryptionName } from '../../../src/cms/content-encryption.ts';

export type EncryptedContent = {
  algorithm: Buffer;
  /** For the recipients. */
  key: Buffer;
  ciphertext: Buffer;
  /** null: the algorithm does not authenticate. */
  mac: Buffer | null;
};

/** Content that is all there, encrypted, without a message around it. */
export function encryptContent(
  name: ContentEncryptionName,
  content: Uint8Array,
  bound = false,
): EncryptedContent {
  const { algorithm, key, cipher } = beginEncryption(name, content.length, bound);
  const ciphertext = cipher.update(content);
  const { rest, mac } = cipher.finish();
  return { algorithm, key, ciphertext: Buffer.concat([ciphertext, rest]), mac };
}
