import type { DecryptionKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import { unwrapSecret, wrapSecret } from '../smime/wrapped-secret.ts';
import { patientKeys } from './patient-keys.ts';
import type { Clock, Keyring, LockedSecrets, RevocationStanding, Unlocked } from './ports.ts';

export type LockedSecretsParts = {
  keyring: Keyring;
  clock: Clock;
  /** Absent: revocation is not looked at. */
  standing?: RevocationStanding;
};

/**
 * Secrets under the certificates of a login's own keys.
 *
 * Must never happen: a person is asked for a PIN; a key of another login; a secret for a key that is known to be revoked.
 */
export function lockedSecrets({ keyring, clock, standing }: LockedSecretsParts): LockedSecrets {
  const isRevoked = async ({ certificate }: Pick<DecryptionKey, 'certificate'>): Promise<boolean> =>
    (await standing?.of(certificate))?.kind === 'revoked';
  return {
    keys: (principal) => keyring.decryptionKeys(principal),
    areAllKnown: (principal) => keyring.unseen(principal) === null,
    async lock(principal, { certificate: { fingerprint } }, secret) {
      const own = await keyring.decryptionKeys(principal);
      const key = own.find(({ certificate }) => certificate.fingerprint === fingerprint);
      if (key === undefined || (await isRevoked(key))) return null;
      try {
        return await wrapSecret(secret, key.certificate, key.readsOaep ?? true);
      } catch (error) {
        // It opens mail, and its certificate says that nobody should encrypt to it.
        if (error instanceof SealgateError) return null;
        throw error;
      }
    },
    async unlock(
      principal,
      { certificate: { fingerprint } },
      locked,
      { session, signal },
    ): Promise<Unlocked> {
      const own = await keyring.decryptionKeys(principal, session);
      const key = own.find(({ certificate }) => certificate.fingerprint === fingerprint);
      if (key === undefined) return { kind: keyring.unseen(principal) === null ? 'void' : 'not-now' };
      if (key.isOpen === false) return { kind: 'not-now' };
      const patience = { signal, exhausted: new Map<string, SealgateError>(), openKeysOnly: true as const };
      const [patient] = patientKeys([key], patience, clock);
      if (patient === undefined) return { kind: 'not-now' };
      try {
        const [secret, revoked] = await Promise.all([unwrapSecret(locked, patient), isRevoked(key)]);
        return secret === null || revoked ? { kind: 'void' } : { kind: 'unlocked', secret, key };
      } catch (error) {
        if (error instanceof SealgateError) return { kind: 'not-now' };
        throw error;
      }
    },
  };
}
