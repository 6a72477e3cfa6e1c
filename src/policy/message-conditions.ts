import { unreachable } from '../errors.ts';
import type { MessageFacts } from './facts.ts';
import { enumerated, quoted } from './quoted.ts';
import type { HeaderCondition, SizeCondition } from './rules.ts';
import { either, meet, type Truth, truth } from './truth.ts';

/** Conditions about the message itself, and what they found in words. What a mail says is the author's: only its tags and types are repeated. */

/** A header value, or what one is compared with: without case, blanks as one, composed letters. */
export function foldedText(text: string): string {
  return text.normalize('NFC').replace(/\s+/gu, ' ').trim().toLowerCase();
}

/** One text for one condition, however it was written. */
export function headerKey({ name, test }: HeaderCondition): string {
  const values = test.kind === 'present' ? [] : test.values.map(foldedText).sort();
  return JSON.stringify([name.toLowerCase(), test.kind, ...values]);
}

/** Whether one of these holds. */
export function headerHolds(wanted: readonly HeaderCondition[], message: MessageFacts | null): Truth {
  return wanted.map((one) => oneHeaderHolds(one, message)).reduce(either, 'no');
}

function oneHeaderHolds(condition: HeaderCondition, message: MessageFacts | null): Truth {
  if (message === null) return 'open';
  const { header } = message;
  if (header.kind === 'outcomes') {
    const outcome = header.of.get(headerKey(condition));
    return outcome === undefined ? 'open' : truth(outcome);
  }
  const { name, test } = condition;
  const values = header.of.get(name.toLowerCase());
  if (values === undefined) return 'open';
  switch (test.kind) {
    case 'present':
      return truth(values.length > 0);
    case 'equals':
      return truth(test.values.map(foldedText).some((one) => values.includes(one)));
    case 'contains':
      return truth(test.values.map(foldedText).some((one) => values.some((value) => value.includes(one))));
    default:
      return unreachable(test);
  }
}

/** What a field says is the author's: how often it is there is enough. */
export function headerText({ name, test }: HeaderCondition, message: MessageFacts | null): string {
  const values = message?.header.kind === 'values' ? message.header.of.get(name.toLowerCase()) : undefined;
  if (values === undefined) return `the field ${quoted(name)} was looked at then`;
  if (values.length === 0) return `there is no field ${quoted(name)}`;
  const times = values.length === 1 ? 'a field' : `${values.length} fields`;
  return test.kind === 'present'
    ? `there is ${times} ${quoted(name)}`
    : `of ${times} ${quoted(name)} ${values.length === 1 ? 'the value' : 'each value'} was compared`;
}

/** Whether one of these tags is there. */
export function tagHolds(wanted: readonly string[], message: MessageFacts | null): Truth {
  if (message === null) return 'open';
  const { found, looked } = message.tags;
  if (meet(wanted, found)) return 'yes';
  return looked === null || wanted.every((one) => looked.includes(one)) ? 'no' : 'open';
}

export function tagsText(found: readonly string[]): string {
  return found.length === 0
    ? 'the Subject begins with no tag'
    : `the Subject begins with ${enumerated(
        found.map((tag) => `[${tag}]`),
        5,
      )}`;
}

export function isWithin(octets: number, { atLeast, below }: SizeCondition): boolean {
  return octets >= (atLeast ?? 0) && octets < (below ?? Number.POSITIVE_INFINITY);
}

type Attachment = NonNullable<MessageFacts['attachments']>[number];

export function attachmentHolds(message: MessageFacts | null, is: (one: Attachment) => boolean): Truth {
  const attachments = message?.attachments ?? null;
  return attachments === null ? 'open' : truth(attachments.some(is));
}

export function isOfType(mediaType: string, pattern: string): boolean {
  return pattern.endsWith('/*') ? mediaType.startsWith(pattern.slice(0, -1)) : mediaType === pattern;
}

export function attachmentsText(message: MessageFacts | null): string {
  const attachments = message?.attachments ?? [];
  if (attachments.length === 0) return 'the mail has no attachment that can be seen';
  const texts = attachments.map(({ mediaType, extension }) =>
    extension === null ? mediaType : `${mediaType} (.${extension})`,
  );
  return `the attachments are ${enumerated(texts, 5)}`;
}
