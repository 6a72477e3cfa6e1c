import type { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { HoldTerms } from '../policy/hold-terms.ts';
import type { Envelope, Recipient } from '../smtp/envelope.ts';

/**
 * What the story out needs of mail that waits for a certificate, and what that needs of the story. Whatever a private key of the
 * sender has to do was done before the client's 250: later only certificates are needed, and nobody's login.
 */

export type { HoldTerms };

/** One mail for the recipients who wait under the same terms. */
export type MailToHold = {
  /** Of the mail: the same for all that wait of it, whatever their terms. */
  id: MailId;
  /** The one address of the From field. */
  from: string;
  login: string;
  listener: string;
  /** Decoded, for the sender's own eyes; null: there is none, or it is not to be shown outside the mail. */
  shownSubject: string | null;
  envelope: Pick<Envelope, 'reversePath' | 'mailParameters'>;
  /** `because`: a clause for people: why it could not be encrypted now. */
  recipients: readonly { recipient: Recipient; because: string }[];
  terms: HoldTerms;
  /** What is encrypted when the time comes: signed already, where the rule says so. Not read after `hold` has resolved. */
  encryptable: OctetSource;
  /** How the header is protected then; null: it is inside `encryptable` already. */
  headerProtection: HeaderProtection | null;
  /** Signed and readable by all: what leaves where the sender chooses so; null: the rule does not let it. */
  readable: OctetSource | null;
  /** The sender's own certificate, for the copy that she reads. */
  own: { certificate: Certificate; readsOaep: boolean } | null;
  /** A signed note of the sender to those who wait, which asks for a signed answer; null: none. */
  introduction: Buffer | null;
};

export interface Holding {
  /**
   * Durable, all of it, when the promise resolves.
   *
   * @throws SealgateError `holding.*` where it cannot be kept; nothing is kept then
   */
  hold(mails: readonly MailToHold[]): Promise<void>;
}

/** What a mail that waits is to one of its recipients now. */
export type HeldProtection =
  /** A whole message for this recipient alone; `discard` frees the spool that it may be in. Never rejects. */
  | { kind: 'ready'; octets: OctetSource; discard(): Promise<void> }
  /** `because`: a clause for people. */
  | { kind: 'waiting'; because: string }
  /** Somebody who must be asked does not answer, or cannot now. */
  | { kind: 'later'; error: SealgateError };

/** What of a mail that waits lies sealed; opened as it is read. */
export type HeldContent = Pick<MailToHold, 'headerProtection' | 'own' | 'encryptable'>;

/** Judges by the terms of the mail and by what is known now; no private key of a person is used. Never less protected than the terms say. */
export interface HeldProtector {
  /**
   * @param content costs a use of the gateway's own key, so it is asked for only where there is a certificate to encrypt to. What it throws is
   * thrown on; so is `queue.damaged` while it is read
   */
  protect(
    mail: Pick<MailToHold, 'id' | 'from' | 'login' | 'terms'>,
    recipient: Recipient,
    content: () => Promise<HeldContent>,
  ): Promise<HeldProtection>;
}
