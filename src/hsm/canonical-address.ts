import { parseMailbox } from '../pki/mailbox.ts';

/** The local part exactly, the domain in lower case. null: not one address; it belongs to nobody. */
export function canonicalAddress(address: string): string | null {
  const mailbox = parseMailbox(address);
  return mailbox === null ? null : `${mailbox.localPart}@${mailbox.domain}`;
}
