import { unreachable } from '../errors.ts';
import type { CertificateFacts, MessageFacts, RevocationFailure } from './facts.ts';
import { judgedCertificates } from './judged-certificates.ts';
import { isInOneOf, isOneOf, type PatternSubject } from './patterns.ts';
import { enumerated, quoted } from './quoted.ts';
import type { ClientProtection, HeaderCondition, PlainCondition, SizeCondition } from './rules.ts';
import { isTrusted } from './trust.ts';

/**
 * Each condition of the vocabulary by itself: whether it holds, and what it looked at in words. What decides and what explains
 * is this one table.
 */

/** What conditions look at. What is null is not there yet (at RCPT TO), or was not kept (in a replay). */
export type Correspondence = {
  login: string;
  loginGroups: readonly string[];
  listener: string;
  from: PatternSubject | null;
  fromGroups: readonly string[];
  message: MessageFacts | null;
  protection: ClientProtection | null;
  recipient: PatternSubject;
  recipientGroups: readonly string[];
  certificates: CertificateFacts | null;
  /** As the rule, or else the gateway, says. */
  revocation: RevocationFailure;
};

/** `open`: only what is not there yet can tell. `away`: a look-up failed, so nobody knows for now. */
export type Truth = 'yes' | 'no' | 'open' | 'away';

type Conditions = {
  [K in keyof PlainCondition]: {
    holds(wanted: NonNullable<PlainCondition[K]>, of: Correspondence): Truth;
    /** A clause: what the mail is like. Strangers' text in it is quoted. */
    found(of: Correspondence, wanted: NonNullable<PlainCondition[K]>): string;
  };
};

const CONDITIONS: Conditions = {
  login: {
    holds: (wanted, { login }) => truth(wanted.includes(login)),
    found: ({ login }) => `the login is ${quoted(login)}`,
  },
  loginGroup: {
    holds: (wanted, { loginGroups }) => truth(meet(wanted, loginGroups)),
    found: ({ loginGroups }) => `the login is in ${groupsText(loginGroups)}`,
  },
  listener: {
    holds: (wanted, { listener }) => truth(wanted.includes(listener)),
    found: ({ listener }) => `the listener is ${quoted(listener)}`,
  },
  recipient: {
    holds: (wanted, { recipient }) => truth(isOneOf(recipient, wanted)),
    found: ({ recipient }) => `the recipient is ${quoted(recipient.text)}`,
  },
  recipientDomain: {
    holds: (wanted, { recipient }) => truth(isInOneOf(recipient, wanted)),
    found: ({ recipient }) => `the recipient's domain is ${quoted(recipient.domain)}`,
  },
  recipientGroup: {
    holds: (wanted, { recipientGroups }) => truth(meet(wanted, recipientGroups)),
    found: ({ recipientGroups }) => `the recipient is in ${groupsText(recipientGroups)}`,
  },
  sender: {
    holds: (wanted, { from }) => (from === null ? 'open' : truth(isOneOf(from, wanted))),
    found: ({ from }) => `the mail is from ${quoted(from?.text ?? '')}`,
  },
  senderDomain: {
    holds: (wanted, { from }) => (from === null ? 'open' : truth(isInOneOf(from, wanted))),
    found: ({ from }) => `the mail is from the domain ${quoted(from?.domain ?? '')}`,
  },
  senderGroup: {
    holds: (wanted, { from, fromGroups }) => (from === null ? 'open' : truth(meet(wanted, fromGroups))),
    found: ({ fromGroups }) => `the From address is in ${groupsText(fromGroups)}`,
  },
  header: {
    holds: (wanted, { message }) => headerHolds(wanted, message),
    found: ({ message }, wanted) => enumerated(wanted.map((one) => headerText(one, message))),
  },
  subjectTag: {
    holds: (wanted, { message }) => tagHolds(wanted, message),
    found: ({ message }) => tagsText(message?.tags.found ?? []),
  },
  size: {
    holds: (wanted, { message }) => (message === null ? 'open' : truth(isWithin(message.octets, wanted))),
    found: ({ message }) => `the mail has ${message?.octets ?? 0} octets`,
  },
  attachmentType: {
    holds: (wanted, { message }) =>
      attachmentHolds(message, ({ mediaType }) => wanted.some((one) => isOfType(mediaType, one))),
    found: ({ message }) => attachmentsText(message),
  },
  attachmentExtension: {
    holds: (wanted, { message }) =>
      attachmentHolds(message, ({ extension }) => extension !== null && wanted.includes(extension)),
    found: ({ message }) => attachmentsText(message),
  },
  protection: {
    holds: (wanted, { protection }) => (protection === null ? 'open' : truth(wanted.includes(protection))),
    found: ({ protection }) =>
      protection === 'none'
        ? 'the mail program has protected nothing'
        : `the mail program has ${protection} it`,
  },
  certificateKnown: {
    holds: (wanted, { certificates, revocation }) => certificateHolds(wanted, certificates, revocation),
    found: ({ certificates, revocation }) => certificatesText(certificates, revocation),
  },
};

/** In this order they are looked at, explained and documented: what is known first comes first. */
export const CONDITION_NAMES = Object.keys(CONDITIONS) as readonly (keyof PlainCondition)[];

/** Whether all that is said holds. What certainly fails outweighs what is not known. */
export function plainHolds(when: PlainCondition, of: Correspondence): Truth {
  let all: Truth = 'yes';
  for (const name of saidIn(when)) {
    const one = oneHolds(name, when, of);
    if (one === 'no') return 'no';
    all = both(all, one);
  }
  return all;
}

/** Rules do not change; most of them say one or two things of many. */
const said = new WeakMap<PlainCondition, readonly (keyof PlainCondition)[]>();

function saidIn(when: PlainCondition): readonly (keyof PlainCondition)[] {
  const before = said.get(when);
  if (before !== undefined) return before;
  const names = CONDITION_NAMES.filter((name) => when[name] !== null);
  said.set(when, names);
  return names;
}

/** One condition of a rule, for people. */
export type ConditionReport = {
  /** `senderDomain`, `not.sender`, `anyOf[1].subjectTag`. */
  condition: string;
  holds: Truth;
  /** What the mail is like, a clause. */
  found: string;
};

/** Every condition that is said. @param place `not.`, `anyOf[0].`, or nothing */
export function plainReports(when: PlainCondition, of: Correspondence, place = ''): ConditionReport[] {
  return saidIn(when).map((name) => {
    const holds = oneHolds(name, when, of);
    return { condition: `${place}${name}`, holds, found: foundText(name, when, of, holds) };
  });
}

/** Yes only where both are. `no` outweighs what is not known; that something was not kept, that it could not be found out. */
export function both(one: Truth, other: Truth): Truth {
  for (const least of ['no', 'open', 'away'] as const) if (one === least || other === least) return least;
  return 'yes';
}

export function either(one: Truth, other: Truth): Truth {
  return negated(both(negated(one), negated(other)));
}

export function negated(one: Truth): Truth {
  return one === 'yes' ? 'no' : one === 'no' ? 'yes' : one;
}

/** A header value, or what one is compared with: without case, blanks as one, composed letters. */
export function foldedText(text: string): string {
  return text.normalize('NFC').replace(/\s+/gu, ' ').trim().toLowerCase();
}

/** One text for one condition, however it was written. */
export function headerKey({ name, test }: HeaderCondition): string {
  const values = test.kind === 'present' ? [] : test.values.map(foldedText).sort();
  return JSON.stringify([name.toLowerCase(), test.kind, ...values]);
}

function oneHolds<K extends keyof PlainCondition>(name: K, when: PlainCondition, of: Correspondence): Truth {
  const wanted = when[name];
  return wanted === null ? 'yes' : CONDITIONS[name].holds(wanted, of);
}

function foundText<K extends keyof PlainCondition>(
  name: K,
  when: PlainCondition,
  of: Correspondence,
  holds: Truth,
): string {
  const wanted = when[name];
  if (holds === 'open') return 'only the message can tell';
  return wanted === null ? '' : CONDITIONS[name].found(of, wanted);
}

function truth(holds: boolean): Truth {
  return holds ? 'yes' : 'no';
}

function meet(some: readonly string[], others: readonly string[]): boolean {
  return some.some((one) => others.includes(one));
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
function headerText({ name, test }: HeaderCondition, message: MessageFacts | null): string {
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

function tagsText(found: readonly string[]): string {
  return found.length === 0
    ? 'the Subject begins with no tag'
    : `the Subject begins with ${enumerated(
        found.map((tag) => `[${tag}]`),
        5,
      )}`;
}

function isWithin(octets: number, { atLeast, below }: SizeCondition): boolean {
  return octets >= (atLeast ?? 0) && octets < (below ?? Number.POSITIVE_INFINITY);
}

type Attachment = NonNullable<MessageFacts['attachments']>[number];

function attachmentHolds(message: MessageFacts | null, is: (one: Attachment) => boolean): Truth {
  const attachments = message?.attachments ?? null;
  return attachments === null ? 'open' : truth(attachments.some(is));
}

function isOfType(mediaType: string, pattern: string): boolean {
  return pattern.endsWith('/*') ? mediaType.startsWith(pattern.slice(0, -1)) : mediaType === pattern;
}

function attachmentsText(message: MessageFacts | null): string {
  const attachments = message?.attachments ?? [];
  if (attachments.length === 0) return 'the mail has no attachment that can be seen';
  const texts = attachments.map(({ mediaType, extension }) =>
    extension === null ? mediaType : `${mediaType} (.${extension})`,
  );
  return `the attachments are ${enumerated(texts, 5)}`;
}

function certificateHolds(
  wanted: NonNullable<PlainCondition['certificateKnown']>,
  certificates: CertificateFacts | null,
  revocation: RevocationFailure,
): Truth {
  if (certificates === null) return 'open';
  const judged = judgedCertificates(certificates, revocation);
  switch (judged.kind) {
    // An outage is never "no": the rule behind would decide for a certificate that is there.
    case 'lookup-failed':
    case 'unchecked':
      return 'away';
    case 'none':
    case 'unusable':
      return truth(wanted === 'no');
    case 'usable':
      if (wanted === 'yes' || wanted === 'no') return truth(wanted === 'yes');
      return truth(judged.certificates.some(({ trust }) => isTrusted(trust, wanted)));
    default:
      return unreachable(judged);
  }
}

function certificatesText(certificates: CertificateFacts | null, revocation: RevocationFailure): string {
  const judged = judgedCertificates(certificates ?? { kind: 'none' }, revocation);
  switch (judged.kind) {
    case 'lookup-failed':
      return 'certificates could not be looked up';
    case 'unchecked':
      return 'whether the certificate has been revoked could not be checked';
    case 'none':
      return 'no certificate is known';
    case 'unusable':
      return 'the certificate that is known cannot be used';
    case 'usable':
      return `a certificate is known (${[...new Set(judged.certificates.map(({ trust }) => trust))].join(', ')})`;
    default:
      return unreachable(judged);
  }
}

function groupsText(groups: readonly string[]): string {
  if (groups.length === 0) return 'no group';
  return `${groups.length === 1 ? 'the group' : 'the groups'} ${enumerated(groups, 5)}`;
}
