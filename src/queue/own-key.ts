import { decrypt } from '../cms/decrypt.ts';
import { isUnreadable } from '../cms/malformed.ts';
import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import type { Keyring, Principal } from '../pipeline/ports.ts';
import { wrapSecret } from '../smime/wrapped-secret.ts';

/** The gateway itself as a holder of keys: in a keyring of its own, of which it is the one principal. */
export type OwnIdentity = {
  keyring: Keyring;
  principal: Principal;
  /** Whose mail the gateway writes: `queue.address`. */
  address: string;
};

/**
 * What the gateway encrypts for itself. Sealing needs the certificate alone; opening is one use of the private key, in its key process.
 *
 * Holds: what was sealed can be opened as long as its key is configured; validity dates say nothing here, since nobody else relies on it.
 */
export class OwnKey {
  readonly #identity: OwnIdentity;

  constructor(identity: OwnIdentity) {
    this.#identity = identity;
  }

  /** @returns DER ContentInfo. @throws SealgateError `key.unavailable` (temporary) */
  async seal(octets: Buffer): Promise<Buffer> {
    const { keyring, principal, address } = this.#identity;
    const [own] = keyring.ownCertificates(principal, address);
    if (own === undefined) throw this.#absent();
    return wrapSecret(octets, own.certificate, own.readsOaep);
  }

  /**
   * @param usedFor in the audit trail
   * @returns null: damaged
   * @throws SealgateError `key.unavailable` (temporary): also where the key that it was sealed to is not configured any more
   */
  async open(sealed: Buffer, usedFor?: MailId): Promise<Buffer | null> {
    const { keyring, principal } = this.#identity;
    const keys = await keyring.decryptionKeys(principal, usedFor);
    try {
      const opened = await decrypt(sealed, keys);
      if (opened.outcome === 'opened') return opened.authenticated ? opened.content : null;
      if (opened.outcome === 'no-key') throw this.#absent();
      return null;
    } catch (error) {
      if (isUnreadable(error)) return null;
      throw error;
    }
  }

  #absent(): SealgateError {
    const { keyring, principal } = this.#identity;
    const unseen = keyring.unseen(principal);
    return new SealgateError({
      code: 'key.unavailable',
      duration: 'temporary',
      publicText: 'The key of the gateway, with which it keeps mail, is not there; try again later.',
      reason:
        unseen ??
        'none of the keys that the section queue names is the one: put the former key into queue.formerKeys',
    });
  }
}
