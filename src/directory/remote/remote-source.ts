import type { Certificate } from '../../pki/certificate.ts';
import type { AddressKey } from '../address-key.ts';

/** Somebody else who knows certificates of correspondents, asked for one address at a time. */
export interface RemoteSource {
  readonly name: string;
  readonly kind: 'ldap';
  /** How much what it says is trusted where no path leads to an anchor. */
  readonly trust: 'directory' | 'harvested';
  /** Nobody waits for it, and no mail is refused because it did not answer. */
  readonly optional: boolean;
  readonly timeoutMs: number;
  /** Whether it may know an address, by what is configured. */
  covers(key: AddressKey): boolean;
  /**
   * What it has for exactly this address; nothing is an answer too.
   *
   * @param signal aborted: nobody waits for the answer any more
   * @throws SealgateError (temporary): there is no answer
   */
  ask(key: AddressKey, signal: AbortSignal): Promise<RemoteAnswer>;
}

export type RemoteAnswer = {
  /** Each speaks for the address, and mail can be encrypted to it. */
  certificates: readonly Certificate[];
  /** Certificates of authorities that came along. Nothing in them is believed. */
  chain: readonly Certificate[];
  /** Values that were there and are no use. */
  passedOver: number;
};
