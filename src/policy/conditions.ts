import { unreachable } from '../errors.ts';
import type { CertificateFacts, MessageFacts, RevocationFailure } from './facts.ts';
import { judgedCertificates } from './judged-certificates.ts';
import {
  attachmentHolds,
  attachmentsText,
  headerHolds,
  headerText,
  isOfType,
  isWithin,
  tagHolds,
  tagsText,
} from './message-conditions.ts';
import { isInOneOf, isOneOf, type PatternSubject } from './patterns.ts';
import { enumerated, quoted } from './quoted.ts';
import type { ClientProtection, PlainCondition } from './rules.ts';
import { isTrusted } from './trust.ts';
import { both, meet, type Truth, truth } from './truth.ts';

/**
 * Each condition of the vocabulary by itself: whether it holds, and what it looked at in words. What decides and what explains
 * is this one table.
 */

/** What conditions look at. What is null is not there yet (at RCPT TO), or was not kept (in a replay). */
export type Correspondence = {
  login: string;
  loginGroups: readonly string[];
  /** Groups of which nobody knows for now; absent: none. */
  loginGroupsAway?: readonly string[];
  listener: string;
  from: PatternSubject | null;
  fromGroups: readonly string[];
  fromGroupsAway?: readonly string[];
  message: MessageFacts | null;
  protection: ClientProtection | null;
  recipient: PatternSubject;
  recipientGroups: readonly string[];
  recipientGroupsAway?: readonly string[];
  certificates: CertificateFacts | null;
  /** As the rule, or else the gateway, says. */
  revocation: RevocationFailure;
};

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
    holds: (wanted, { loginGroups, loginGroupsAway }) => groupHolds(wanted, loginGroups, loginGroupsAway),
    found: ({ loginGroups, loginGroupsAway }) =>
      `the login is in ${groupsText(loginGroups, loginGroupsAway)}`,
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
    holds: (wanted, { recipientGroups, recipientGroupsAway }) =>
      groupHolds(wanted, recipientGroups, recipientGroupsAway),
    found: ({ recipientGroups, recipientGroupsAway }) =>
      `the recipient is in ${groupsText(recipientGroups, recipientGroupsAway)}`,
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
    holds: (wanted, { from, fromGroups, fromGroupsAway }) =>
      from === null ? 'open' : groupHolds(wanted, fromGroups, fromGroupsAway),
    found: ({ fromGroups, fromGroupsAway }) =>
      `the From address is in ${groupsText(fromGroups, fromGroupsAway)}`,
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
      if (judged.certificates.some(({ trust }) => isTrusted(trust, wanted))) return 'yes';
      return judged.incomplete ? 'away' : 'no';
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

/** One that is not known is never "no": the rule behind would decide for somebody who is in it. */
function groupHolds(
  wanted: readonly string[],
  groups: readonly string[],
  away: readonly string[] = [],
): Truth {
  if (meet(wanted, groups)) return 'yes';
  return meet(wanted, away) ? 'away' : 'no';
}

function groupsText(groups: readonly string[], away: readonly string[] = []): string {
  const unknown = away.length === 0 ? '' : `, and whether in ${enumerated(away, 5)} could not be looked up`;
  if (groups.length === 0) return `no group${unknown}`;
  return `${groups.length === 1 ? 'the group' : 'the groups'} ${enumerated(groups, 5)}${unknown}`;
}
