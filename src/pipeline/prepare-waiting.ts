import { fieldText } from '../mail/field-text.ts';
import { fieldsNamed } from '../mail/header.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import type { HeldVariant } from '../policy/decide-outbound.ts';
import { introduction } from './introduction.ts';
import { type OutgoingMessage, readOutgoing, sourceOf } from './outgoing-message.ts';
import type { Submission } from './ports.ts';
import { at, type Findings, headerProtectionOf, type PlannedMessages } from './protect.ts';
import { checkEncryptable } from './protecting.ts';
import { addressOf } from './recipient-certificates.ts';
import { shortened } from './refusal.ts';
import type { SignedForms } from './signed-forms.ts';
import { type AlgorithmFacts, broken, waitingSignature } from './variant-algorithms.ts';
import type { MailToHold } from './waiting.ts';

/**
 * What waits, with all that a key of its sender has to do for it done: what is encrypted later, what she may send readable, and her note to
 * those who wait.
 *
 * Must never happen: a mail is kept that could not be encrypted once there is a certificate. What cannot be done throws here, before
 * anything is handed over or kept.
 */
export async function prepareWaiting(
  submission: Submission,
  { held, algorithms }: Pick<PlannedMessages, 'held' | 'algorithms'>,
  forms: SignedForms,
  findings: Findings,
): Promise<MailToHold[]> {
  const mails: MailToHold[] = [];
  for (const one of held) mails.push(await waitingMail(submission, one, forms, findings, algorithms));
  return mails;
}

async function waitingMail(
  { id, origin, envelope }: Submission,
  variant: HeldVariant,
  forms: SignedForms,
  findings: Findings,
  algorithms: AlgorithmFacts,
): Promise<MailToHold> {
  const { sign, strip, terms } = variant;
  const { from } = findings;
  if (from === null) throw broken('decided to hold a mail from nobody');
  const source = forms.source(strip);
  const choice = waitingSignature(variant, algorithms);
  const encrypt = { subject: terms.subject };
  const cipher = headerProtectionOf({ sign, encrypt }, source);
  const signedAs = (header: HeaderProtection | null) =>
    sign === null ? sourceOf(source) : forms.signed(source, sign.form, header, choice);
  const encryptable = await signedAs(cipher);
  const headerProtection = sign === null ? cipher : null;
  // What would fail later fails now.
  await checkEncryptable(
    encryptable,
    headerProtection,
    forms.kind === 'in-memory' ? 'in-memory' : 'in-spool',
  );
  const recipients = variant.recipients.map(({ index, because }) => ({
    recipient: at(findings.recipients, index),
    because,
  }));
  const note = async () => {
    const to = recipients.map(({ recipient }) => addressOf(recipient));
    const octets = introduction(from, source.root.fields, to, findings.at);
    const message = await readOutgoing(bufferSource(octets), octets.length);
    return forms.sign(message, 'clear', { kind: 'clear' }, choice);
  };
  return {
    ...{ id, from, login: origin.principal.login, listener: origin.listener, recipients, terms },
    shownSubject: terms.subject === 'keep' ? subjectOf(source) : null,
    envelope: { reversePath: envelope.reversePath, mailParameters: envelope.mailParameters },
    ...{ encryptable, headerProtection, own: algorithms.own },
    readable: variant.readable ? await signedAs(headerProtectionOf({ sign, encrypt: null }, source)) : null,
    introduction: variant.introduce ? await collectFrom(await note()) : null,
  };
}

/** Characters of a Subject that are shown. */
const SHOWN = 300;

function subjectOf({ root }: OutgoingMessage): string | null {
  const [subject] = fieldsNamed(root.fields, 'subject');
  if (subject === undefined) return null;
  const text = fieldText(subject.value)
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return text === '' ? null : shortened(text, SHOWN);
}
