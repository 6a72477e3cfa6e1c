import { limits } from '../limits.ts';
import type { OwnMail } from '../queue/own-mail.ts';
import type { ChoiceOutcome, HeldMail } from './held-mail.ts';
import type { HeldPart, PartRecipient } from './held-rows.ts';
import { inWords } from './in-words.ts';

/** A word with which a question is answered. */
export type AnswerWord = 'send' | 'wait' | 'discard';

export type Question = {
  mail: Pick<HeldMail, 'id' | 'from' | 'subject' | 'heldAt' | 'expiresAt'>;
  recipients: readonly { address: string; because: string; maySend: boolean }[];
  /** Those who wait were written to, and asked for a signed answer. */
  introduced: boolean;
  replyTo: string;
  /** To the page where the same can be chosen; null: there is none. */
  link: string | null;
  /** Message-ID of the mail. */
  inReplyTo: string | null;
};

/** What the sender of a mail that waits is asked. Its words are those that answers are read by. */
export function questionMail({ mail, recipients, introduced, replyTo, link, inReplyTo }: Question): OwnMail {
  const shown = recipients.slice(0, limits.holding.namedRecipients);
  const more = recipients.length - shown.length;
  const maySend = recipients.filter((one) => one.maySend);
  const whom =
    maySend.length === recipients.length
      ? ''
      : ` (to ${inWords(
          maySend.map(({ address }) => address),
          10,
        )})`;
  return {
    ...{ id: mail.id, purpose: 'question', to: [mail.from], replyTo },
    ...(inReplyTo === null ? {} : { inReplyTo }),
    subject: `Your mail to ${inWords(
      recipients.map(({ address }) => address),
      1,
    )} is waiting`,
    lines: [
      'A mail of yours could not be encrypted yet. It waits at the gateway, and was not sent to:',
      '',
      ...shown.flatMap(({ address, because }) => [`  ${address}`, `    ${because}`]),
      ...(more > 0 ? [`  and ${more} more`] : []),
      '',
      ...(mail.subject === null ? [] : [`Subject: ${mail.subject}`]),
      `Written: ${mail.heldAt.toUTCString()}`,
      `Waits until: ${mail.expiresAt.toUTCString()}`,
      '',
      'You need not do anything: it leaves by itself, encrypted, as soon as that is possible.',
      ...(introduced
        ? [
            'Once a week at most, those who wait get a note from you that asks for a signed answer, which brings what is missing.',
          ]
        : []),
      'If it is not possible in time, you are told so.',
      '',
      'You can decide otherwise. Answer this mail, with one of these words at the beginning:',
      '',
      ...(maySend.length > 0
        ? [`  send     it leaves now, signed but not encrypted: it can be read on its way${whom}`]
        : []),
      '  wait     it keeps waiting',
      '  discard  it is deleted, and not sent',
      '',
      ...(link === null
        ? []
        : [
            'Or decide on this page:',
            '',
            link,
            '',
            'Whoever has that link can decide about your mail: pass it on to nobody.',
            '',
          ]),
      `Mail id: ${mail.id}`,
    ],
  };
}

/** That an answer was taken, and what it has led to. */
export function confirmationMail(
  word: AnswerWord,
  mail: HeldMail,
  { to, inReplyTo }: { to: string; inReplyTo: string | null },
): OwnMail {
  const { subject, told } = DONE[word];
  const lines = mail.recipients
    .slice(0, limits.holding.namedRecipients)
    .flatMap(({ address, because }) => [`  ${address}`, `    ${because}`]);
  const more = mail.recipients.length - limits.holding.namedRecipients;
  return {
    ...{ id: mail.id, purpose: 'notice', to: [to], subject },
    ...(inReplyTo === null ? {} : { inReplyTo }),
    lines: [
      told,
      '',
      ...(mail.subject === null ? [] : [`Subject: ${mail.subject}`]),
      `Written: ${mail.heldAt.toUTCString()}`,
      '',
      'What is known of it now:',
      '',
      ...lines,
      ...(more > 0 ? [`  and ${more} more`] : []),
      '',
      `If you have not answered the question about this mail, tell your administrator. Mail id: ${mail.id}`,
    ],
  };
}

const DONE: Readonly<Record<AnswerWord, { subject: string; told: string }>> = {
  send: {
    subject: 'Your mail is on its way, signed and not encrypted',
    told: 'As you have answered, this mail is sent signed, and not encrypted.',
  },
  wait: {
    subject: 'Your mail keeps waiting',
    told: 'As you have answered, this mail keeps waiting. It leaves by itself, encrypted, as soon as that is possible.',
  },
  discard: {
    subject: 'Your mail was discarded',
    told: 'As you have answered, this mail was deleted, and is not sent to those who waited for it.',
  },
};

/** For the sender, where somebody else has sent her mail without encryption. */
export function sentByOperatorMail(
  mail: Pick<HeldPart, 'id' | 'from' | 'subject' | 'heldAt'>,
  recipients: readonly PartRecipient[],
): OwnMail {
  return {
    ...{ id: mail.id, purpose: 'notice', to: [mail.from] },
    subject: 'Your mail was sent signed and not encrypted, by an administrator',
    lines: [
      'An administrator of the gateway has decided that this mail, which waited until it could be encrypted, is sent signed only:',
      '',
      ...(mail.subject === null ? [] : [`Subject: ${mail.subject}`]),
      `Written: ${mail.heldAt.toUTCString()}`,
      `To: ${inWords(
        recipients.map(({ address }) => address),
        10,
      )}`,
      '',
      `Mail id: ${mail.id}`,
    ],
  };
}

/** What an outcome says to whoever answered. */
export function outcomeText(outcome: ChoiceOutcome): string {
  return outcome.kind === 'refused'
    ? outcome.publicText
    : 'Nobody waits for this mail any more: it has left, was discarded, or its time is over.';
}
