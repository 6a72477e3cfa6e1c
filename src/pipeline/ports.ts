import type { DecryptionKey, SigningKey } from '../cms/keys.ts';
import type { Duration, SealgateError } from '../errors.ts';
import type { MailId, SessionId } from '../ids.ts';
import type { OctetSource, OctetStream } from '../octets/source.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { UpstreamFacts } from '../policy/facts.ts';
import type { CertificateTrust, GroupQuestion } from '../policy/rules.ts';
import type { Principal } from '../sasl/principal.ts';
import type { MessageBeginning } from '../smime/beginning-of-encrypted.ts';
import type { SecurityReport } from '../smime/report.ts';
import type { Envelope, Mailbox, Recipient } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';

/**
 * What the two stories need from the rest, and what sessions need from the stories.
 * gateway.ts connects them; nothing here is implemented in this folder except the stories themselves.
 */

export type { MessageBeginning, Principal, UpstreamFacts };

/** Where a submission came from. */
export type Origin = {
  session: SessionId;
  listener: string;
  principal: Principal;
  /** Address of the client. */
  remote: string;
  /** How it came, where it came from another server; absent: from a client that logged in. */
  arrival?: Arrival;
};

/** What a trace field says of how a mail came (RFC 5321 §4.4). */
export type Arrival = {
  /** What we call ourselves. */
  hostname: string;
  /** What the client calls itself. */
  helo: string;
  /** As registered for `with`: ESMTP, ESMTPS, LMTP … */
  protocol: string;
};

/** A message accepted from a client, before the answer to its end of data. */
export type Submission = {
  id: MailId;
  origin: Origin;
  envelope: Envelope;
  /**
   * Dot-stuffing removed, CRLF line ends, with the final CRLF. It may lie in a spool; read several times, never after the answer.
   */
  octets: OctetSource;
  /** Goes on top of each of its messages that leaves, whatever was made of it: one field, with CRLF. Absent: nothing. */
  trace?: Buffer;
};

/** One message that one set of recipients gets. Every recipient of the submission is in exactly one variant. */
export type Variant = {
  recipients: readonly Recipient[];
  /** Read several times, never after the answer. */
  octets: OctetSource;
  protection: { signed: boolean; encrypted: boolean };
  /** It must not leave but by TLS; where the upstream offers REQUIRETLS (RFC 8689), it is told so too. */
  requireTls: boolean;
  /** It was encrypted, and was opened for these recipients: nothing of it goes back to whoever has sent it. */
  opened?: true | undefined;
};

/**
 * Hands one variant over to the upstream, in the transaction of the session that is being served.
 * The outcome carries the upstream's own reply. Throws nothing: a lost connection is `unreachable`.
 */
export interface HandOver {
  /** The connection that it goes by, as it is now. */
  readonly upstream: UpstreamFacts;
  deliver(variant: Variant): Promise<HandOverOutcome>;
  /**
   * Present: what `deliver` has accepted is nothing before this has resolved, then it is all there.
   *
   * @throws SealgateError (temporary): nothing of it is
   */
  commit?(): Promise<void>;
}

/** Takes variants in the place of the upstream, to deliver them later: durably, or not at all. */
export interface StoreAndForward {
  /** Of one mail; whoever has sent it hears what becomes of it. */
  begin(of: Pick<Submission, 'id' | 'origin' | 'envelope' | 'trace'>): Keeping;
  /** Asked before a message is taken; null: there is room. Else the refusal, which is temporary (RFC 5321 §4.2.2, 452). */
  full(octets: number): Promise<Reply | null>;
}

/** What is kept of one mail: nothing before `commit` has resolved, then all of it. */
export interface Keeping {
  /** To be delivered. The octets are not read after this has resolved. @throws SealgateError `queue.*` (temporary) */
  add(variant: Variant): Promise<void>;
  /** Not to be delivered to these: the sender is told so, with the server's reply (RFC 3464). @throws SealgateError `queue.*` (temporary) */
  fail(variant: Variant, reply: Reply): Promise<void>;
  /** In one transaction. @throws SealgateError `queue.*`, `store.unavailable` (temporary); nothing is kept then */
  commit(): Promise<void>;
  /** Nothing of it is kept; nothing happens after `commit`. Never rejects. */
  drop(): Promise<void>;
}

export type HandOverOutcome =
  | WholeOutcome
  /**
   * By LMTP (RFC 2033 §4.2), where the recipients did not fare alike: each by itself, in the variant's order. Nobody who was not
   * `accepted` has the mail for certain, and nobody who was gets it again.
   */
  | { kind: 'each'; outcomes: readonly { recipient: Recipient; outcome: WholeOutcome }[] };

/** For all recipients, or for one. */
export type WholeOutcome =
  | { kind: 'accepted'; reply: Reply }
  | { kind: 'rejected'; reply: Reply }
  /** No reply to the end of data: the upstream may or may not have the message. `unsent`: it has not, since it was not sent. */
  | { kind: 'unreachable'; reason: string; unsent?: true };

/** What smtp-in says to the client at the end of data: the upstream's own reply, or ours. */
export type SubmissionOutcome = {
  kind: 'accepted' | 'refused';
  reply: Reply;
  /** Of each recipient, for a client that takes more than one reply (LMTP); those that are not there have `reply`. */
  each?: ReadonlyMap<Recipient, Reply>;
};

/** The outbound story as smtp-in sees it. */
export interface OutboundStory {
  /**
   * Called at RCPT TO, before the upstream hears of the recipient. null, the usual answer: nothing stands against it. A promise:
   * a rule wants to judge here (`refuse-recipient`); it gives the refusal, or null. Never throws, never rejects.
   */
  judgeRecipient(origin: Origin, recipient: Recipient): Promise<Reply | null> | null;
  /** Called at RCPT TO, after the upstream accepted the recipient: certificates are looked up ahead of DATA. Never throws. */
  expectRecipient(origin: Origin, recipient: Recipient): void;
  /** Called when all octets are there. Never throws: every failure is a reply. */
  submit(submission: Submission, handOver: HandOver): Promise<SubmissionOutcome>;
}

/** The gateway itself as a recipient: what is sent to it is an answer to its question, and goes to nobody else. */
export interface OwnMailbox {
  isOwn(mailbox: Mailbox): boolean;
  /** Called at RCPT TO, in the place of the upstream. Never rejects. */
  judge(origin: Origin, mailbox: Mailbox): Promise<Reply>;
  /** Called when all octets are there. What was decided is durable before it answers. Never rejects. */
  take(submission: Submission): Promise<Reply>;
}

/** The inbound story as imap-proxy and pop3-proxy see it. */
export interface InboundStory {
  open(request: OpenRequest): Promise<OpenOutcome>;
}

export type OpenRequest = {
  session: SessionId;
  principal: Principal;
  /** The stored original, whole; it may lie in a spool. Read several times, never after the answer. */
  octets: OctetSource;
  /** Absent: keys are waited for as long as they take. */
  patience?: Patience;
  /** No key is used, and none is asked for: what is encrypted stays closed. */
  withoutKeys?: true;
};

/** Correspondents' certificates from mail that clients store, as imap-proxy sees it. */
export interface HarvestStory {
  /**
   * Whether there is something to learn; null: there is not. Throws SealgateError where something is away for now; whatever a message
   * contains is no error.
   *
   * @param octets as the client has sent them, whole. Read several times, never after the answer
   */
  verify(principal: Principal, octets: OctetSource): Promise<{ harvest(): Promise<void> } | null>;
}

/** How long a reader waits for keys whose PIN a person types. */
export type Patience = {
  /** Aborted: not waited for any longer; what a key process has begun it ends by itself. */
  signal: AbortSignal;
  /** Keys that were waited for in vain, by label, and what they said: they are not waited for again. */
  exhausted: Map<string, SealgateError>;
  /** Told when a key is asked, and when it has answered: what takes long in between may be a person. */
  atKey?(asked: boolean): void;
  /** Only keys that are open now are used: nobody is asked for a PIN. */
  openKeysOnly?: true;
  /** Nobody has asked for the message yet: what is made of it is kept for whoever does, where there is room. */
  ahead?: true;
};

/** A key that was used to open something. What it opened is kept no longer than it is at hand. */
export type OpeningKey = Pick<DecryptionKey, 'certificate' | 'isOpen' | 'isThere'>;

export type OpenOutcome =
  /** Not S/MIME at its root (or clear-signed): the original is shown byte for byte. `report` for clear-signed. */
  | { kind: 'as-is'; report: SecurityReport | null; verdict?: Verdict }
  /**
   * Decrypted and/or unwrapped: the MIME entity to show, the header fields to show in the place of those outside (lines;
   * absent or null: none), and what was found.
   */
  | {
      kind: 'opened';
      /** It may lie in a spool, until `discard` is called. */
      entity: OctetSource;
      discard?(): Promise<void>;
      header?: Buffer | null;
      report: SecurityReport;
      verdict: Verdict;
      /** Without all of them it would not have been opened; absent or empty: none was needed. */
      keys?: readonly OpeningKey[];
    }
  /** No key of this principal fits: permanent until a key is added. */
  | { kind: 'no-key'; report: SecurityReport }
  /** Broken or tampered; uniform, no detail (RFC 3218). */
  | { kind: 'failed'; report: SecurityReport }
  /** Key (`key`) or service away for now: nothing may be served in its place. `publicText`: a sentence about what to do. */
  | { kind: 'unavailable'; key: boolean; publicText: string };

/** Whether a key that was not there when a message was shown first is there now. */
export interface KeyFit {
  /** `keys`: what the answer depends on besides the message; the same as long as no key has come or gone. */
  keys(principal: Principal): Promise<string>;
  /** Whether one of the principal's keys may open the message; none is used for that. */
  fits(principal: Principal, octets: OctetSource): Promise<boolean>;
}

/** Whether a message is for somebody else, asked before anything is said of it. */
export interface ForeignJudge {
  /** `for-others`: its recipients are all there, and none is a certificate of the principal's. `may-open`: one is, or nobody can say. */
  judge(principal: Principal, beginning: MessageBeginning): Promise<'may-open' | 'for-others'>;
}

/** Secrets that nothing but a use of one private key gives back. Nobody is ever asked for a PIN for one. */
export interface LockedSecrets {
  /** The principal's keys that open mail, those that are away among them. */
  keys(principal: Principal): Promise<readonly OpeningKey[]>;
  /** Not while a token was never there: it may have further ones. */
  areAllKnown(principal: Principal): boolean;
  /** No key is used. null: nothing may be, or can be, locked with this one. */
  lock(principal: Principal, key: OpeningKey, secret: Buffer): Promise<Buffer | null>;
  /** One use of the key. `signal`: not waited for any longer. */
  unlock(
    principal: Principal,
    key: OpeningKey,
    locked: Buffer,
    usedFor: { session: SessionId; signal: AbortSignal },
  ): Promise<Unlocked>;
}

export type Unlocked =
  | { kind: 'unlocked'; secret: Buffer; key: OpeningKey }
  /** The key is away, locked or busy. */
  | { kind: 'not-now' }
  /** For good: damaged, or the key was revoked or is no longer the principal's. */
  | { kind: 'void' };

/** Mail that a client stores, encrypted to its own login before it goes to the mail server, and opened again. */
export interface AtRestStory {
  /** Never throws for what a message contains; a refusal is an outcome. */
  seal(request: SealRequest): Promise<SealOutcome>;
  unseal(request: OpenRequest): Promise<UnsealOutcome>;
}

export type SealRequest = {
  principal: Principal;
  /** Header fields that stay outside, CRLF, without the empty line. */
  outer: Buffer;
  /** The message as the client has it; it has to last until the result was read. */
  octets: OctetSource;
};

export type SealOutcome =
  /** A whole message, which can be read once. What goes wrong meanwhile is thrown at the reader. */
  | { kind: 'sealed'; length: number; octets: OctetStream }
  /** It is encrypted already, by its client. */
  | { kind: 'as-is' }
  /** `publicText`: whole sentences about what to do. */
  | { kind: 'refused'; code: string; duration: Duration; publicText: string };

export type UnsealOutcome =
  /** Octet by octet as it was sealed, if it was: whoever asks knows by what. */
  | { kind: 'opened'; octets: OctetSource; discard(): Promise<void>; keys?: readonly OpeningKey[] }
  /** No key fits, or it is damaged, or something else. */
  | { kind: 'failed' }
  /** As in OpenOutcome. */
  | { kind: 'unavailable'; key: boolean; publicText: string };

export type Verdict =
  | { kind: 'trusted' }
  | { kind: 'untrusted'; why: string }
  | { kind: 'broken'; why: string }
  | { kind: 'unsigned' };

/** What harvesting and lookups know of one correspondent's certificate. */
export type KnownCertificate = {
  certificate: Certificate;
  trust: CertificateTrust;
  /** sMIMECapabilities of the correspondent's last signed mail, preferred first, as cms/capabilities.ts writes them. */
  capabilities: readonly string[];
  /** Where it came from: signed mail, a file that an administrator read in, one that is pinned, or a remote source of some kind. */
  source: 'mail' | 'import' | 'file' | 'ldap' | 'smimea' | 'http-store';
  /** Names of the configured sources that have it for this address; absent: none. */
  sources?: readonly string[];
  /** Absent: it is known under the address that was asked for. Else under this one, which differs from it in letter case alone. */
  foundAs?: string;
  /** A person has said that this certificate is to be believed, whatever its path says; `trust` takes that into account. */
  decision?: { reason: string; by: string; at: Date };
};

/** Correspondents' certificates. Throws SealgateError `directory.unavailable` (temporary). */
export interface CertificateDirectory {
  /**
   * By address, domain compared without case. Newest first.
   *
   * @param incomplete told why, where a source that might know more could not be asked; what is known otherwise is returned. Absent: that
   * is an outage, and thrown
   */
  find(address: string, incomplete?: (reason: string) => void): Promise<readonly KnownCertificate[]>;
  harvest(finding: Harvest): Promise<void>;
}

/** Who is in groups that are kept elsewhere. */
export interface Memberships {
  /** What is known at once; null: it would have to be asked. */
  known(group: GroupQuestion, subject: GroupSubject): boolean | null;
  /** Whether it is in the group; null: nobody knows for now. Never rejects. */
  ask(group: GroupQuestion, subject: GroupSubject): Promise<boolean | null>;
}

/** An address, or a login. */
export type GroupSubject = { kind: 'address' | 'login'; text: string };

export type { GroupQuestion };

/**
 * What people have said of certificates, whatever their paths say. Throws SealgateError `directory.unavailable` (temporary) where that was
 * never known since the start.
 */
export interface SignerDecisions {
  /**
   * By the fingerprint of the signer's certificate; null: nobody has said anything. Who distrusts a certificate distrusts its key, in
   * every other certificate that nobody trusts by a word of his own.
   *
   * @param subjectPublicKeyInfo of the certificate, DER
   */
  of(fingerprint: string, subjectPublicKeyInfo: Buffer): Promise<SignerDecision | null>;
}

export type SignerDecision = { decision: 'trusted' | 'distrusted'; reason: string; by: string; at: Date };

export type Harvest = {
  address: string;
  certificate: Certificate;
  trust: 'verified' | 'harvested';
  capabilities: readonly string[];
  signedAt: Date | null;
};

/**
 * How a certificate stands before it is used, as far as revocation goes. `no-path`: it leads to no trust anchor, so nobody
 * is known who could revoke it. `why`: whole sentences for people.
 */
export type Standing =
  | { kind: 'good' }
  | { kind: 'revoked'; why: string }
  /** `mayPass`: a place that was asked did not answer, so it may be different later. */
  | { kind: 'unchecked'; why: string; mayPass: boolean }
  | { kind: 'no-path' };

/** Answers within a time limit of its own, whatever the network does. Never rejects. */
export interface RevocationStanding {
  /** @param chain intermediates that came with the certificate; nothing in it is believed */
  of(certificate: Certificate, chain?: readonly Certificate[]): Promise<Standing>;
}

/**
 * Revocation where certificates are used, and what to do when nobody knows: `soft` tolerates it, `hard` does not.
 */
export type RevocationUse = { standing: RevocationStanding; failure: 'soft' | 'hard' };

/**
 * Keys by login; deny by default. What a token holds is known from when it was there last: a key of a card that is out is
 * handed out, and its use fails with `key.unavailable` (temporary).
 */
export interface Keyring {
  /** Addresses that belong to the login, lower-case domain. Empty: none. */
  addressesOf(principal: Principal): readonly string[];
  /**
   * Keys that may sign for `address`, preferred first; only if the address belongs to the principal.
   * `usedFor` is the mail (or the session that reads one) in the audit trail of every use.
   */
  signingKeys(
    principal: Principal,
    address: string,
    usedFor?: MailId | SessionId,
  ): Promise<readonly SigningKey[]>;
  /** Where `signingKeys` gives none for an address of the principal: why. */
  whyNoSigningKey(principal: Principal, address: string): NoSigningKey;
  /** Every key the principal ever held. */
  decryptionKeys(principal: Principal, usedFor?: MailId | SessionId): Promise<readonly DecryptionKey[]>;
  /**
   * The principal's own certificates that mail from `address` may be encrypted to as well, so that its sender can read it;
   * preferred first, expired ones and those of other addresses included. No key is used and no token asked.
   */
  ownCertificates(principal: Principal, address: string): readonly OwnCertificate[];
  /**
   * Not null: some of the principal's keys are on a token that was never there, so that nobody knows whether one of them would
   * fit. A sentence about what to do; "no key" is temporary then.
   */
  unseen(principal: Principal): string | null;
}

export type NoSigningKey = {
  /**
   * `unseen`: on a token that was never there. `other-card`: on a card in whose place another one is. `none`: no key that signs.
   * `other-address`: its certificate is for another address. `validity`: expired or not valid yet. `purpose`: key usage, extended
   * key usage, kind or size of the key.
   */
  reason: 'unseen' | 'other-card' | 'none' | 'other-address' | 'validity' | 'purpose';
  /** `temporary`: it may be different once a card was inserted. */
  duration: Duration;
  /** A whole sentence for the sender; names both addresses where they differ. */
  publicText: string;
};

export type OwnCertificate = {
  certificate: Certificate;
  /** Whether the key behind it reads OAEP. */
  readsOaep: boolean;
};

/**
 * Which recipients already have a mail whose hand-over stopped half way, so that the client's retry delivers only the rest.
 * Keys are opaque hashes; entries expire after some days, and are forgotten once everybody has the mail: the same octets
 * handed in after that are a new mail.
 */
export interface DeliveredVariants {
  has(key: string): Promise<boolean>;
  record(key: string): Promise<void>;
  /** Keys that are not there are none to forget. */
  forget(keys: readonly string[]): Promise<void>;
}

/** What decisions rested on, for `policy replay`; `record` is JSON, as policy/recorded-mail.ts has it. */
export interface DecisionRecords {
  record(mail: MailId, record: string): Promise<void>;
}

/** So that tests decide the time. */
export type Clock = () => Date;
