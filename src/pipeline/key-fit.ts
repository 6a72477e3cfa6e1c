import { createHash } from 'node:crypto';
import { recipientsAmong } from '../smime/beginning-of-encrypted.ts';
import { isEncryptedTo } from '../smime/encrypted-entity.ts';
import type { ForeignJudge, KeyFit, Keyring, Principal } from './ports.ts';

/** Looks into the recipients of the outermost layer; the certificates are those of every key the principal ever held. */
export function keyFit(keyring: Keyring): KeyFit & ForeignJudge {
  const certificatesOf = async (principal: Principal) =>
    (await keyring.decryptionKeys(principal)).map(({ certificate }) => certificate);
  return {
    async keys(principal) {
      const all = (await certificatesOf(principal)).map(({ fingerprint }) => fingerprint).sort();
      return createHash('sha256').update(all.join(' ')).digest('hex');
    },
    fits: async (principal, octets) => isEncryptedTo(octets, await certificatesOf(principal)),
    async judge(principal, beginning) {
      // A token that was never there may hold the key.
      if (keyring.unseen(principal) !== null) return 'may-open';
      const named = await recipientsAmong(beginning, await certificatesOf(principal));
      return named === 'not-named' ? 'for-others' : 'may-open';
    },
  };
}
