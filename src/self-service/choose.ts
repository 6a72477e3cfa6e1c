import { unreachable } from '../errors.ts';
import type { Choice, HeldMail, HeldMails } from '../holding/held-mail.ts';
import { allValues, type Fields, onlyValue } from '../http/message.ts';
import type { Said } from './held-page.ts';

/** What became of a form: the mail as it is now, and what is said. null: the mail is not there any more. */
export type Chosen = { mail: HeldMail; said: Said } | null;

/** Does what a form of the page of this mail asks for. */
export async function choose(mails: HeldMails, mail: HeldMail, form: Fields): Promise<Chosen> {
  const wanted = onlyValue(form, 'choice');
  const choice = mail.choices.find((each) => each === wanted);
  if (choice === undefined)
    return refused(mail, 'That cannot be chosen any more. This is how the mail is now.');
  const recipients = chosenRecipients(mail, form);
  if (recipients !== null && recipients.length === 0) {
    return refused(mail, 'Nothing was changed: tick at least one recipient who still waits.');
  }
  const outcome = await mails.choose(mail.id, choice, { recipients, by: `a link of ${mail.from}` });
  switch (outcome.kind) {
    case 'done':
      return { mail: outcome.mail, said: { kind: 'done', sentence: doneSentence(choice) } };
    case 'refused': {
      const now = await mails.find(mail.id);
      return now === null ? null : refused(now, outcome.publicText);
    }
    case 'unknown':
      return null;
    default:
      return unreachable(outcome);
  }
}

/** null: all who wait. What the page did not offer is not chosen. */
function chosenRecipients(mail: HeldMail, form: Fields): string[] | null {
  if (onlyValue(form, 'some') === null) return null;
  const ticked = new Set(allValues(form, 'recipient'));
  return mail.recipients.flatMap(({ address, state }) =>
    state === 'waiting' && ticked.has(address) ? [address] : [],
  );
}

function refused(mail: HeldMail, sentence: string): Chosen {
  return { mail, said: { kind: 'refused', sentence } };
}

function doneSentence(choice: Choice): string {
  switch (choice) {
    case 'wait':
      return 'The mail keeps waiting. It leaves by itself, encrypted, as soon as that is possible.';
    case 'release':
      return 'It was tried again. What can be encrypted now is on its way; the rest keeps waiting.';
    case 'send-signed':
      return 'The mail is on its way: signed, and not encrypted.';
    case 'discard':
      return 'The mail was discarded. It is not sent to those whom you chose.';
    default:
      return unreachable(choice);
  }
}
