import type { Certificate } from '../../pki/certificate.ts';
import type { AddressKey } from '../address-key.ts';
import type { RemoteKind } from '../source.ts';

/** Somebody else who knows certificates of correspondents, asked for one address at a time. */
export interface RemoteSource {
  readonly name: string;
  readonly kind: RemoteKind;
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
   * @throws SealgateError (temporary): there is no answer; with a code of `OF_ADDRESS_ALONE` the source itself is well
   */
  ask(key: AddressKey, signal: AbortSignal): Promise<RemoteAnswer>;
}

/** What every source is told of itself, besides the place where it asks. */
export type RemoteSettings = Pick<RemoteSource, 'name' | 'trust' | 'optional' | 'timeoutMs'> & {
  /** Domains or `*.domain`; null: every address. */
  domains: readonly string[] | null;
};

export type RemoteAnswer = {
  /** Each speaks for the address, and mail can be encrypted to it. */
  certificates: readonly Certificate[];
  /** Certificates of authorities that came along. Nothing in them is believed. */
  chain: readonly Certificate[];
  /** Values that were there and are no use. */
  passedOver: number;
  /** Absent: the source is trusted alike for all that it has, and says nothing of what others have. */
  vouches?: Vouching;
  /** It says itself how long this may be kept; absent: as long as any answer. */
  keptMs?: number;
  /** For people: why it has nothing that can be used. */
  remark?: string;
};

/**
 * What an answer says of one certificate, its own or one that is known from elsewhere. `verified`: it is this address's. `as-source`: it
 * has it, trusted as much as the source is. `by-path`: it has it, to be used only where a path leads to an anchor. null: nothing.
 */
export type Vouching = (certificate: Certificate) => 'verified' | 'as-source' | 'by-path' | null;

/** Codes of errors that say nothing of other addresses, so that one domain that is broken takes nobody else's certificates away. */
export const OF_ADDRESS_ALONE: ReadonlySet<string> = new Set(['dns.unanswered']);
