import { newMailId } from '../ids.ts';
import { readFrom } from '../mail/address.ts';
import type { HeaderField } from '../mail/entity.ts';
import { textMessage } from '../mail/text-message.ts';

/**
 * The note of a sender to those whose certificate is missing: it brings hers, and a signed answer brings theirs. Nothing of the mail that
 * waits is in it, and those who wait do not learn of each other.
 *
 * @param from the one address of the From field
 * @param fields of the mail that waits
 * @param to addresses of those who wait
 */
export function introduction(
  from: string,
  fields: readonly HeaderField[],
  to: readonly string[],
  date: Date,
): Buffer {
  const author = readFrom(fields);
  const name = author.kind === 'one' ? author.address.displayName : null;
  const domain = from.slice(from.lastIndexOf('@') + 1);
  return textMessage({
    from,
    ...(name === null || name === '' ? {} : { name }),
    to: to.length === 1 ? to : [],
    subject: 'A mail for you waits for your certificate',
    date,
    messageId: `<${newMailId()}@${domain}>`,
    autoSubmitted: 'auto-generated',
    lines: [
      `There is a mail from ${from} for you that may be sent encrypted only (S/MIME). It waits, since no certificate of yours that it can be encrypted to is known here.`,
      '',
      'Please answer this note with a digitally signed mail; no text is needed. Your signature brings your certificate, and the mail follows by itself.',
      '',
      'If you cannot sign mail, please tell its sender in some other way. Your answer is readable on its way unless you encrypt it.',
      '',
      'The mail gateway has written this note, and signed it in the name of its sender. It says so once a week at most.',
    ],
  });
}
