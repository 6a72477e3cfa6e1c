import type { Duration } from '../errors.ts';
import {
  decideForRecipients,
  type RecipientDecision,
  type RecipientOutcome,
} from './decide-for-recipient.ts';
import type { OutboundFacts } from './facts.ts';
import type { HoldTerms } from './hold-terms.ts';
import { sameMailbox } from './patterns.ts';
import { enumerated, quoted } from './quoted.ts';
import type { Refusal } from './refusal.ts';
import type { Rule, RuleAlgorithms, SignatureForm, SubjectConfidentiality } from './rules.ts';
import type { Strip } from './steering.ts';

/**
 * The decision about one outgoing mail. Pure.
 *
 * What holds: every recipient is in exactly one variant, one that leaves or one that waits, or nobody gets anything; no variant is less protected than
 * the rule of any of its recipients; a blind copy shares its variant with nobody.
 */
export type OutboundDecision =
  /** `held`: what waits for its recipients' certificates; what leaves now may be nothing. */
  | { kind: 'deliver'; variants: readonly OutboundVariant[]; held: readonly HeldVariant[] }
  /** The client has protected the mail itself: the octets go to all recipients as they came. */
  | { kind: 'forward-unchanged'; rule: string; requireTls: boolean; appendTo: readonly string[] }
  | OutboundRefusal;

/** One message for some of the recipients. */
export type OutboundVariant = {
  /** Indices into `facts.recipients`, ascending. */
  recipients: readonly number[];
  /** null: not signed by the gateway. */
  sign: { form: SignatureForm } | null;
  /** The certificate to use for each of `recipients`: index into its usable certificates. null: not encrypted. */
  encrypt: { certificates: readonly number[]; subject: SubjectConfidentiality } | null;
  /** What is taken out of the mail before; null: nothing. */
  strip: Strip | null;
  /** null: chosen by what is known of the readers. */
  algorithms: RuleAlgorithms | null;
  requireTls: boolean;
  /** Names of the rules that said so. */
  rule: string;
  /** Archives that get a copy. */
  appendTo: readonly string[];
};

/** One message that waits for some of the recipients, under the terms of one rule. */
export type HeldVariant = {
  /** Ascending, with why each one waits: a clause for people. */
  recipients: readonly { index: number; because: string }[];
  /** null: not signed by the gateway. */
  sign: { form: 'clear' | 'opaque' } | null;
  strip: Strip | null;
  readable: boolean;
  introduce: boolean;
  terms: HoldTerms;
};

export type OutboundRefusal = {
  kind: 'refuse';
  duration: Duration;
  /** RFC 3463; its class fits the duration. */
  enhancedCode: string;
  /** One line for the mail user: what, to whom, and what to do. */
  publicText: string;
  /** null: no rule was asked, or none applied. */
  rule: string | null;
  /** Indices of the recipients that it is about; empty: it is about the mail. */
  recipients: readonly number[];
};

export function decideOutbound(facts: OutboundFacts, rules: readonly Rule[]): OutboundDecision {
  const { from } = facts;
  const right = refusalBySender(facts);
  if (right !== null || from === null) return right ?? aboutMail(NO_FROM);
  if (facts.recipients.length === 0) return aboutMail('The mail has no recipient.');
  const decisions = decideForRecipients({ ...facts, from }, rules);
  return refusalOf(facts, decisions) ?? asIs(facts, decisions) ?? deliver(facts, decisions);
}

const NO_FROM =
  'The mail must have one From field with exactly one address: the gateway could not tell who it is from.';

/**
 * Why the principal may not send as this From and Sender, or null. `550 5.7.1`: the login decides the key, so a mail
 * in somebody else's name is never signed, encrypted or forwarded.
 */
export function refusalBySender(
  facts: Pick<OutboundFacts, 'from' | 'sender' | 'belongs' | 'principal'>,
): OutboundRefusal | null {
  const { from, sender, belongs } = facts;
  if (from === null) return aboutMail(NO_FROM);
  const login = quoted(facts.principal.login);
  for (const [field, address] of [
    ['From', from],
    ['Sender', sender],
  ] as const) {
    if (address !== null && !belongs.some((own) => sameMailbox(own, address))) {
      const own =
        belongs.length === 0 ? 'it has no address here' : `its addresses are ${enumerated(belongs)}`;
      return aboutMail(
        `The login ${login} may not send as ${quoted(address)} (${field}): ${own}. Choose another sender address in your mail program.`,
      );
    }
  }
  return null;
}

function aboutMail(publicText: string): OutboundRefusal {
  return {
    kind: 'refuse',
    duration: 'permanent',
    enhancedCode: '5.7.1',
    publicText,
    rule: null,
    recipients: [],
  };
}

/** A refusal of one recipient is a refusal of the mail. What will never pass is said before what may pass later. */
function refusalOf(facts: OutboundFacts, decisions: readonly RecipientDecision[]): OutboundRefusal | null {
  const refused = decisions.flatMap(({ outcome, rule }, index) =>
    outcome.kind === 'refuse' ? [{ ...outcome, rule: rule?.name ?? null, index }] : [],
  );
  const first = refused.find(({ duration }) => duration === 'permanent') ?? refused[0];
  if (first === undefined) return null;
  const alike = refused.filter(
    ({ problem, duration }) => problem === first.problem && duration === first.duration,
  );
  const addresses = alike.map(({ index }) => facts.recipients[index]?.address ?? '');
  const others = refused.length - alike.length;
  return {
    kind: 'refuse',
    duration: first.duration,
    enhancedCode: first.enhancedCode,
    publicText: refusalText(first, addresses, others),
    rule: first.rule,
    recipients: refused.map(({ index }) => index),
  };
}

function refusalText(refusal: Refusal, addresses: readonly string[], others: number): string {
  const also = others === 0 ? '' : ` (and ${others} more for other reasons)`;
  return `To ${enumerated(addresses)}${also}: ${refusal.problem}. Nothing was sent to anybody. ${refusal.remedy}`;
}

function asIs(facts: OutboundFacts, decisions: readonly RecipientDecision[]): OutboundDecision | null {
  if (facts.protection === 'none' || decisions.some(({ outcome }) => outcome.kind !== 'as-is')) return null;
  const requireTls = decisions.some(asksForTls);
  return {
    kind: 'forward-unchanged',
    rule: ruleNames(decisions),
    requireTls,
    appendTo: archives(decisions),
  };
}

function deliver(facts: OutboundFacts, decisions: readonly RecipientDecision[]): OutboundDecision {
  const [only, another] = decisions;
  // The usual mail: nobody whose variant could be the same.
  if (only !== undefined && another === undefined && only.outcome.kind !== 'hold') {
    return { kind: 'deliver', variants: [variantOf([0], decisions)], held: [] };
  }
  const groups = new Map<string, number[]>();
  const held = new Map<string, Waiting[]>();
  for (const [index, { outcome }] of decisions.entries()) {
    if (outcome.kind === 'hold') {
      const { because, ...terms } = outcome;
      const key = JSON.stringify(terms);
      put(held, key, { index, outcome });
      continue;
    }
    const protection = outcome.kind === 'send' ? outcome : null;
    const visible = facts.recipients[index]?.visible === true;
    const key = JSON.stringify([
      protection?.sign ?? null,
      (protection?.certificate ?? null) !== null,
      protection?.subject ?? null,
      protection?.strip ?? null,
      protection?.algorithms ?? null,
      asksForTls({ outcome }),
      visible ? 'together' : index,
    ]);
    put(groups, key, index);
  }
  return {
    kind: 'deliver',
    variants: [...groups.values()].map((group) => variantOf(group, decisions)),
    held: [...held.values()].flatMap(heldOf),
  };
}

function put<T>(groups: Map<string, T[]>, key: string, one: T): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [one]);
  else group.push(one);
}

type Waiting = { index: number; outcome: Extract<RecipientOutcome, { kind: 'hold' }> };

/** Alike but for why each one waits. */
function heldOf(waiting: readonly Waiting[]): HeldVariant[] {
  const [first] = waiting;
  if (first === undefined) return [];
  const { sign, strip, readable, introduce, terms } = first.outcome;
  const recipients = waiting.map(({ index, outcome: { because } }) => ({ index, because }));
  return [{ recipients, sign: sign === null ? null : { form: sign }, strip, readable, introduce, terms }];
}

function variantOf(recipients: readonly number[], decisions: readonly RecipientDecision[]): OutboundVariant {
  const own = recipients.flatMap((index) => decisions[index] ?? []);
  const sends = own.flatMap(({ outcome }) => (outcome.kind === 'send' ? [outcome] : []));
  const form = sends[0]?.sign ?? null;
  const certificates = sends.flatMap(({ certificate }) => (certificate === null ? [] : [certificate]));
  return {
    recipients,
    sign: form === null ? null : { form },
    encrypt: certificates.length === 0 ? null : { certificates, subject: sends[0]?.subject ?? 'protect' },
    strip: sends[0]?.strip ?? null,
    algorithms: sends[0]?.algorithms ?? null,
    requireTls: own.some(asksForTls),
    rule: ruleNames(own),
    appendTo: archives(own),
  };
}

function asksForTls({ outcome }: Pick<RecipientDecision, 'outcome'>): boolean {
  return (outcome.kind === 'send' || outcome.kind === 'as-is') && outcome.requireTls;
}

function archives(decisions: readonly RecipientDecision[]): readonly string[] {
  return [...new Set(decisions.flatMap(({ rule }) => rule?.appendTo ?? []))];
}

function ruleNames(decisions: readonly RecipientDecision[]): string {
  return [...new Set(decisions.flatMap(({ rule }) => rule?.name ?? []))].join(', ');
}
