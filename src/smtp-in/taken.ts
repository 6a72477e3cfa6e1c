import { limits } from '../limits.ts';
import type { Submission } from '../pipeline/ports.ts';
import { toldMailbox, toldRecipients } from '../smtp/told-recipients.ts';
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
    from: reversePath === null ? '' : toldMailbox(reversePath),
    to: toldRecipients(recipients, limits.trail.recipientCharacters),
    recipients: recipients.length,
    octets: octets.length,
  });
}
