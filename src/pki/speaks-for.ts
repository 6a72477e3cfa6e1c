import type { Certificate } from './certificate.ts';
import type { Mailbox } from './mailbox.ts';
import { parseMailbox } from './mailbox.ts';

export type SpeaksForOptions = {
  /**
   * Take emailAddress attributes of the subject as evidence too. RFC 8550 §3 lets old certificates do so; many CAs never
   * verified that attribute, so it counts only where a rule says so, and only in a certificate without any mailbox in
   * its subjectAltName.
   */
  subjectEmailAddress?: boolean;
};

/**
 * Whether the certificate names `address` as a mailbox of its subject (RFC 8550 §3, RFC 5280 §7.5, RFC 9598 §5).
 *
 * The local part is compared exactly, in letter case too: RFC 5321 §2.4 leaves its meaning to the host, and a host that
 * gives `Bob` and `bob` to two people is allowed. The domain is compared without case, U-labels as A-labels.
 * This says nothing about whether the certificate is to be believed: see path.ts.
 *
 * @param address one address without display name or angle brackets; anything else speaks for nobody
 */
export function speaksFor(
  certificate: Certificate,
  address: string,
  options: SpeaksForOptions = {},
): boolean {
  const wanted = parseMailbox(address);
  if (wanted === null) return false;
  if (mailboxesOf(certificate).some((mailbox) => isSameMailbox(mailbox, wanted))) return true;
  if (options.subjectEmailAddress !== true || certificate.mailboxes.length > 0) return false;
  return readable(certificate.subjectMailboxes).some((mailbox) => isSameMailbox(mailbox, wanted));
}

/** Read once for each certificate: this is asked for every key and recipient of every mail. */
const mailboxes = new WeakMap<Certificate, readonly Mailbox[]>();

function mailboxesOf(certificate: Certificate): readonly Mailbox[] {
  let known = mailboxes.get(certificate);
  if (known === undefined) {
    known = readable(certificate.mailboxes);
    mailboxes.set(certificate, known);
  }
  return known;
}

/** A text that is not exactly one address has no form and equals nothing. */
function readable(texts: readonly string[]): readonly Mailbox[] {
  return texts.map(parseMailbox).filter((mailbox) => mailbox !== null);
}

function isSameMailbox(one: Mailbox, other: Mailbox): boolean {
  return one.localPart === other.localPart && one.domain === other.domain;
}
