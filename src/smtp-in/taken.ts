import { limits } from '../limits.ts';
import type { Submission } from '../pipeline/ports.ts';
import type { Mailbox, Recipient } from '../smtp/envelope.ts';
import type { Conversation } from './conversation.ts';

/** All octets of a mail are there: with this its trail begins. */
export function logTaken(
  { ports, id: session }: Conversation,
  { id: mail, origin, envelope, octets }: Submission,
): void {
  const { listener, principal } = origin;
  const { reversePath, recipients } = envelope;
  ports.log.write({
    ...{ event: 'mail.taken', level: 'debug', mail, session, listener, principal: principal.login },
    from: reversePath === null ? '' : textOf(reversePath),
    to: toldRecipients(recipients),
    recipients: recipients.length,
    octets: octets.length,
  });
}

function toldRecipients(recipients: readonly Recipient[]): string {
  let told = '';
  for (const { mailbox } of recipients) {
    const next = told === '' ? textOf(mailbox) : `${told}, ${textOf(mailbox)}`;
    if (next.length > limits.trail.recipientCharacters) break;
    told = next;
  }
  return told;
}

function textOf({ localPart, domain }: Mailbox): string {
  return domain === '' ? localPart : `${localPart}@${domain}`;
}
