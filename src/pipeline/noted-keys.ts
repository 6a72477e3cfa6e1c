import type { DecryptionKey } from '../cms/keys.ts';
import type { OpeningKey } from './ports.ts';

/** The same keys; those that have given something are added to `used`. */
export function notedKeys(keys: readonly DecryptionKey[], used: Set<OpeningKey>): readonly DecryptionKey[] {
  return keys.map((key) => {
    const { label, certificate, readsOaep = true } = key;
    const noted = async (operation: Promise<Buffer>): Promise<Buffer> => {
      const octets = await operation;
      used.add(key);
      return octets;
    };
    return {
      ...{ label, certificate, readsOaep },
      get isOpen() {
        return key.isOpen ?? true;
      },
      decryptKey: (scheme, encryptedKey) => noted(key.decryptKey(scheme, encryptedKey)),
      agree: (originator) => noted(key.agree(originator)),
      decapsulate: (ciphertext) => noted(key.decapsulate(ciphertext)),
    };
  });
}
