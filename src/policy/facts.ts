import type { Duration } from '../errors.ts';
import type { CertificateTrust, ClientProtection } from './rules.ts';

/** All that a decision about one outgoing mail rests on. Addresses are `localPart@domain`, without brackets. */
export type OutboundFacts = OriginFacts & {
  /** The one address of the From field; null: there is none, or there are several, or it is malformed. */
  from: string | null;
  /** Names of the groups that it is in. */
  fromGroups: readonly string[];
  /** Of these nobody knows for now; absent: none. */
  fromGroupsAway?: readonly string[];
  /** The address of the Sender field (RFC 5322 §3.6.2); null: no such field. */
  sender: string | null;
  /** Addresses that belong to the login. */
  belongs: readonly string[];
  /** What the client itself has done, by the root entity. */
  protection: ClientProtection;
  message: MessageFacts;
  upstream: UpstreamFacts;
  signing: SigningFacts;
  recipients: readonly RecipientFacts[];
};

/** What is known before there is a message. */
export type OriginFacts = {
  /** Proven by the upstream. */
  principal: { readonly login: string };
  /** Names of the groups that the login is in. */
  loginGroups: readonly string[];
  /** Of these nobody knows for now; absent: none. */
  loginGroupsAway?: readonly string[];
  /** Name of the submission listener. */
  listener: string;
  /** What holds for rules that say nothing of it. */
  revocation: RevocationFailure;
};

/** What becomes of a certificate whose revocation could not be checked: `soft` tolerates it, `hard` does not. */
export type RevocationFailure = 'soft' | 'hard';

/** The connection to the mail server that the mail would take. */
export type UpstreamFacts = {
  tls: boolean;
  /** It offers REQUIRETLS (RFC 8689). */
  requireTls: boolean;
};

/** What rules look at of the message itself, as far as any rule does. */
export type MessageFacts = {
  /** As the client sent it. */
  octets: number;
  header: HeaderFacts;
  /** Tags of the Subject, in lower case and without brackets. */
  tags: TagFacts;
  /** null: no rule looks at them. */
  attachments: readonly AttachmentFacts[] | null;
};

/** By field name in lower case, decoded, unfolded and folded for comparison (see `foldedText`); a name that is not there was not looked at. */
export type HeaderFacts =
  | { kind: 'values'; of: ReadonlyMap<string, readonly string[]> }
  /** Of a mail long gone: what came of each condition, by `headerKey`. */
  | { kind: 'outcomes'; of: ReadonlyMap<string, boolean> };

/** `looked`: those that it is known of whether they are there; null: of every one. */
export type TagFacts = { found: readonly string[]; looked: readonly string[] | null };

export type AttachmentFacts = {
  /** In lower case. */
  mediaType: string;
  /** The last one of its file name, in lower case, without the dot; null: none. */
  extension: string | null;
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
  /** Names of the groups that the address is in. */
  groups: readonly string[];
  /** Of these nobody knows for now; absent: none. */
  groupsAway?: readonly string[];
  /** Named in To or Cc. Others are blind copies: no message to anybody else may show their certificate. */
  visible: boolean;
  certificates: CertificateFacts;
};

export type CertificateFacts =
  /** Valid now, not revoked, fit for encryption and for this address; preferred first. */
  | {
      kind: 'usable';
      certificates: readonly UsableCertificate[];
      /** A source that might know another one could not be asked. */
      incomplete?: boolean;
    }
  | { kind: 'none' }
  /** There are some, valid now and for this address, and none can be encrypted to. `because`: a sentence for people. */
  | { kind: 'unusable'; because: string }
  /** Nobody knows whether there is one: what is known, if anything, cannot be used, and not everybody who might know another answered. */
  | { kind: 'lookup-failed' };

export type UsableCertificate = { trust: CertificateTrust; doubt?: RevocationDoubt | null };

/** What `hard` has against a certificate. */
export type RevocationDoubt = {
  /** Sentences for people. */
  because: string;
  /** It may be known later. */
  mayPass: boolean;
};
