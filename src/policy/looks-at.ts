import type { PlainCondition, Rule } from './rules.ts';

/** What the rules look at of a message, so that nothing else of it is read or kept. */
export type LooksAt = {
  /** Names of header fields, in lower case. */
  header: ReadonlySet<string>;
  tags: ReadonlySet<string>;
  attachments: boolean;
  /** Names of groups, by whose they are looked at. */
  groups: Readonly<Record<GroupRole, ReadonlySet<string>>>;
};

/** Who is in a group: the recipient's address, the From address, the login. */
export type GroupRole = 'recipient' | 'sender' | 'login';

const known = new WeakMap<readonly Rule[], LooksAt>();

export function looksAt(rules: readonly Rule[]): LooksAt {
  const before = known.get(rules);
  if (before !== undefined) return before;
  const conditions = rules.flatMap(conditionsOf);
  const made: LooksAt = {
    header: new Set([
      ...conditions.flatMap(({ header }) => (header ?? []).map(({ name }) => name.toLowerCase())),
      ...rules.flatMap(({ steering }) => steering?.header ?? []),
    ]),
    tags: new Set([
      ...conditions.flatMap(({ subjectTag }) => subjectTag ?? []),
      ...(rules.some(({ steering }) => steering?.tags === true) ? ['sign', 'encrypt', 'plain'] : []),
    ]),
    groups: {
      recipient: new Set(conditions.flatMap(({ recipientGroup }) => recipientGroup ?? [])),
      sender: new Set(conditions.flatMap(({ senderGroup }) => senderGroup ?? [])),
      login: new Set(conditions.flatMap(({ loginGroup }) => loginGroup ?? [])),
    },
    attachments: conditions.some(
      ({ attachmentType, attachmentExtension }) => attachmentType !== null || attachmentExtension !== null,
    ),
  };
  known.set(rules, made);
  return made;
}

/** Whether it depends on a recipient's certificates which rule decides. */
export function asksForCertificates(rule: Rule): boolean {
  return conditionsOf(rule).some(({ certificateKnown }) => certificateKnown !== null);
}

/** All that a rule says, exceptions and alternatives among it. */
export function conditionsOf({ when }: Rule): readonly PlainCondition[] {
  return [when, ...(when.not === null ? [] : [when.not]), ...(when.anyOf ?? [])];
}
