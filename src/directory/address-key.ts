import { parseMailbox } from '../pki/mailbox.ts';

/**
 * An address in the forms in which the directory keeps it.
 *
 * RFC 5321 §2.4: domains know no letter case; a local part "MUST BE treated as case sensitive", since only its own host knows
 * what it means, and the same section discourages hosts from making use of that. So certificates are kept and found under
 * the local part as it is written, and what differs in case is another address; only where nothing at all is known of
 * the exact one, `folded` finds the one that differs in case alone (sql-directory.ts).
 */
export type AddressKey = {
  /** Local part as it is, domain as A-labels in lower case (RFC 9598 §5). */
  exact: string;
  /** The same with the local part in lower case: a place to look, never a name. */
  folded: string;
  domain: string;
};

/** null: not exactly one address. */
export function addressKey(address: string): AddressKey | null {
  const mailbox = parseMailbox(address);
  if (mailbox === null) return null;
  const { localPart, domain } = mailbox;
  return { exact: `${localPart}@${domain}`, folded: foldedLocalPart(localPart, domain), domain };
}

function foldedLocalPart(localPart: string, domain: string): string {
  return `${localPart.toLowerCase()}@${domain}`;
}
