import type { Mailbox, Recipient } from './envelope.ts';

/** Recipients for lines of the log, the first of them in at most so many characters: the number of all stands beside. */
export function toldRecipients(recipients: readonly Recipient[], characters: number): string {
  let told = '';
  for (const { mailbox } of recipients) {
    const next = told === '' ? toldMailbox(mailbox) : `${told}, ${toldMailbox(mailbox)}`;
    if (next.length > characters) break;
    told = next;
  }
  return told;
}

/** Without a domain where there is none (`postmaster`). */
export function toldMailbox({ localPart, domain }: Mailbox): string {
  return domain === '' ? localPart : `${localPart}@${domain}`;
}
