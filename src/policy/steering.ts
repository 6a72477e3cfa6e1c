import type { MessageFacts } from './facts.ts';
import { conditionsOf } from './looks-at.ts';
import { foldedText, headerHolds, tagHolds } from './message-conditions.ts';
import type { HeaderCondition, Rule, Steering } from './rules.ts';

/**
 * What authors ask for where a rule lets them. They may raise the protection, and lower it where the rule says so: a word that asks
 * for less counts for nothing elsewhere, and beside one that asks for more.
 */
export const STEERING_WORDS = ['sign', 'encrypt', 'plain'] as const;

export type SteeringWord = (typeof STEERING_WORDS)[number];

/** The rule as its author and the mail's author want it; null: what the mail says is not known. */
export function steeredRule(rule: Rule, message: MessageFacts): Rule | null {
  const { steering } = rule;
  if (steering === null) return rule;
  const words = steeringWords(steering, message);
  if (words === null) return null;
  const raised: Rule = {
    ...rule,
    sign: words.includes('sign') ? 'require' : rule.sign,
    encrypt: words.includes('encrypt') ? 'require' : rule.encrypt,
  };
  const asksForMore = words.includes('sign') || words.includes('encrypt');
  if (!steering.mayLower || asksForMore || !words.includes('plain')) return raised;
  return { ...raised, sign: 'never', encrypt: 'never' };
}

/** The words that the mail says, whether they count or not; null: not known. */
export function steeringWords(steering: Steering, message: MessageFacts): readonly SteeringWord[] | null {
  const said = STEERING_WORDS.map((word) => [word, isSaid(word, steering, message)] as const);
  if (said.some(([, holds]) => holds === 'open')) return null;
  return said.filter(([, holds]) => holds === 'yes').map(([word]) => word);
}

/** The test for one word in the field of a rule. */
export function steeringCondition(field: string, word: SteeringWord): HeaderCondition {
  return { name: field, test: { kind: 'equals', values: [foldedText(word)] } };
}

function isSaid(word: SteeringWord, { tags, header }: Steering, message: MessageFacts) {
  if (tags) {
    const tagged = tagHolds([word], message);
    if (tagged !== 'no' || header === null) return tagged;
  }
  return header === null ? 'no' : headerHolds([steeringCondition(header, word)], message);
}

/** What is taken out of a mail before it is protected. */
export type Strip = {
  /** Tags of the Subject, in lower case; sorted. */
  tags: readonly string[];
  /** The field that steers, in lower case; null: none. */
  field: string | null;
};

/** What a rule with `stripTag` takes out: the tags it asks for, and what steers. null: nothing. */
export function stripOf(rule: Rule): Strip | null {
  if (!rule.stripTag) return null;
  const asked = conditionsOf(rule).flatMap(({ subjectTag }) => subjectTag ?? []);
  const tags = [...asked, ...(rule.steering?.tags === true ? STEERING_WORDS : [])];
  return { tags: [...new Set(tags)].sort(), field: rule.steering?.header ?? null };
}
