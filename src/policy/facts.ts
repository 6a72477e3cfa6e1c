import type { Duration } from '../errors.ts';
import type { CertificateTrust } from './rules.ts';

/** All that a decision about one outgoing mail rests on. Addresses are `localPart@domain`, without brackets. */
export type OutboundFacts = {
  /** Proven by the upstream. */
  principal: { readonly login: string };
  /** The one address of the From field; null: there is none, or there are several, or it is malformed. */
  from: string | null;
  /** The address of the Sender field (RFC 5322 §3.6.2); null: no such field. */
  sender: string | null;
  /** Addresses that belong to the login. */
  belongs: readonly string[];
  /** What the client itself has done, by the root entity. */
  protection: 'none' | 'signed' | 'encrypted';
  signing: SigningFacts;
  recipients: readonly RecipientFacts[];
};

/** Whether there is a key that may sign for `from`. */
export type SigningFacts =
  | { kind: 'available' }
  /** `permanent`: there is no such key, or none with a valid certificate. `temporary`: nobody knows until a token is there. */
  | {
      kind: 'unavailable';
      duration: Duration;
      /** A sentence for the sender. */
      publicText: string;
      /** Subject and detail of RFC 3463; absent: 7.5, cryptographic failure. */
      detail?: string;
    };

export type RecipientFacts = {
  address: string;
  /** Named in To or Cc. Others are blind copies: no message to anybody else may show their certificate. */
  visible: boolean;
  certificates: CertificateFacts;
};

export type CertificateFacts =
  /** Valid now, fit for encryption and for this address; preferred first. */
  | { kind: 'usable'; certificates: readonly { trust: CertificateTrust }[] }
  | { kind: 'none' }
  /** There are some, valid now and for this address, and none can be encrypted to. `because`: a sentence for people. */
  | { kind: 'unusable'; because: string }
  /** There are some, and whether they have been revoked could not be checked just now. `because`: sentences for people. */
  | { kind: 'unchecked'; because: string }
  /** Nobody knows whether there is one. */
  | { kind: 'lookup-failed' };
