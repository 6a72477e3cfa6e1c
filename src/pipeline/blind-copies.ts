import { SealgateError } from '../errors.ts';
import { fieldsNamed, malformedLines } from '../mail/header.ts';
import { type OutgoingMessage, withEditedHeader } from './outgoing-message.ts';

/**
 * The message without its Bcc and Resent-Bcc fields, as it may go to anybody (RFC 5322 §3.6.3, §3.6.6). Most clients leave them out;
 * of those that do not, every recipient would see who got a blind copy. The envelope alone says who gets one.
 *
 * All other octets stay: signatures cover the MIME entity, and not these fields. The same message where there are none.
 *
 * @throws SealgateError `mail.malformed-header` for a field that only some readers take for one of these (`Bcc :`)
 */
export function withoutBlindCopies(message: OutgoingMessage): OutgoingMessage {
  const { root } = message;
  // obs-bcc = "Bcc" *WSP ":" (RFC 5322 §4.5.3)
  if (malformedLines(root.fields).some(({ value }) => /^[ \t]*(?:resent-)?bcc[ \t]*:/i.test(value))) {
    throw new SealgateError({
      code: 'mail.malformed-header',
      duration: 'permanent',
      publicText:
        'The message has a Bcc field that is not written as RFC 5322 asks for (a blank before the colon); it was not sent, so that nobody sees the blind copies.',
    });
  }
  const named = [...fieldsNamed(root.fields, 'bcc'), ...fieldsNamed(root.fields, 'resent-bcc')];
  return withEditedHeader(
    message,
    named.map(({ range }) => ({ range, text: '' })),
  );
}
