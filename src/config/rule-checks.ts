import { archiveOf } from './archive-checks.ts';
import type { CrossProblem } from './cross-checks.ts';
import { groupChecks } from './group-checks.ts';
import { names } from './name-checks.ts';
import type { Sections } from './schema.ts';

/** What is wrong in rules that are each well-formed: between their settings, with each other, with the rest of the file. */
export function ruleChecks(config: Partial<Sections>): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const rules = config.policy?.rules;
  if (rules === undefined) return problems;
  if (rules.length === 0 && (config.submission ?? []).length > 0) {
    problems.push({
      path: ['policy', 'rules'],
      severity: 'warning',
      text: 'there is no rule: every mail will be refused',
    });
  }
  problems.push(...names('policy.rules', rules, ['policy', 'rules']));
  problems.push(...names('policy.groups', config.policy?.groups ?? [], ['policy', 'groups']));
  problems.push(...groupChecks(config));
  let catchAll: string | null = null;
  for (const [i, rule] of rules.entries()) {
    const path = ['policy', 'rules', i];
    if (catchAll !== null) {
      problems.push({
        path,
        severity: 'warning',
        text: `this rule is never reached: the rule ${catchAll} before it applies to every recipient`,
      });
    } else if (Object.values(rule.when).every((condition) => condition === null)) {
      catchAll = rule.name;
    }
    problems.push(...conditionChecks(rule.when, [...path, 'when'], config));
    if (rule.encrypt !== 'require' && rule.steering === null && rule.withoutCertificate !== 'refuse-all') {
      problems.push({
        path: [...path, 'withoutCertificate'],
        severity: 'error',
        text: `this says something only with encrypt: require, and the rule says encrypt: ${rule.encrypt}`,
      });
    }
    if (rule.subject === 'protect' && rule.encrypt === 'never' && rule.steering === null) {
      problems.push({
        path: [...path, 'subject'],
        severity: 'error',
        text: 'only an encrypted mail can hide its Subject, and the rule says encrypt: never',
      });
    }
    problems.push(...demandChecks(rule, path), ...waitingChecks(rule, path, config));
    problems.push(...archiveOf(rule, path, config));
    if (rule.withoutCertificate === 'send-signed' && rule.sign === 'never') {
      problems.push({
        path: [...path, 'withoutCertificate'],
        severity: 'error',
        text: 'send-signed contradicts sign: never',
      });
    }
  }
  return problems;
}

type RuleSection = Sections['policy']['rules'][number];

/** Demands that contradict each other, or say nothing. */
function demandChecks(rule: RuleSection, path: readonly PropertyKey[]): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const error = (key: string, text: string) =>
    problems.push({ path: [...path, ...key.split('.')], severity: 'error', text });
  const { encrypt, sign, steering, form, algorithms, when } = rule;
  const encrypts = encrypt !== 'never' || steering !== null;
  const signs = sign !== 'never' || steering !== null;
  if (form === 'triple-wrap' && !(encrypts && signs)) {
    error('form', 'triple-wrap signs, encrypts and signs again, and the rule says never to one of them');
  }
  if (algorithms?.signature != null && !signs) {
    error(
      'algorithms.signature',
      'this says something only where mail is signed, and the rule says sign: never',
    );
  }
  for (const key of ['contentEncryption', 'keyManagement'] as const) {
    if (algorithms?.[key] != null && !encrypts) {
      error(
        `algorithms.${key}`,
        'this says something only where mail is encrypted, and the rule says encrypt: never',
      );
    }
  }
  const asksForTags = [when, ...(when.anyOf ?? [])].some(({ subjectTag }) => subjectTag !== null);
  if (rule.stripTag && !asksForTags && steering === null) {
    error('stripTag', 'there is no tag to take out: neither when.subjectTag nor steering names any');
  }
  if (steering?.mayLower === true && sign === 'never' && encrypt === 'never') {
    error('steering.mayLower', 'there is nothing to lower: the rule neither signs nor encrypts');
  }
  return problems;
}

/** What rules for mail that waits need, and what they cannot ask for. */
function waitingChecks(
  rule: RuleSection,
  path: readonly PropertyKey[],
  { queue }: Partial<Sections>,
): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const error = (key: string, text: string) =>
    problems.push({ path: [...path, key], severity: 'error', text });
  const { withoutCertificate, form, sign, introduce, notify } = rule;
  const waits = withoutCertificate === 'hold' || withoutCertificate === 'ask';
  if (waits && queue === null) {
    error('withoutCertificate', `${withoutCertificate} needs the section queue: mail waits there`);
  }
  if (waits && form === 'triple-wrap') {
    error(
      'form',
      `triple-wrap signs again around what is encrypted: nobody is there for that when a mail has waited (withoutCertificate: ${withoutCertificate})`,
    );
  }
  if (withoutCertificate === 'ask' && sign === 'never') {
    error(
      'withoutCertificate',
      'ask offers to send the mail signed, and the rule says sign: never: say hold',
    );
  }
  if (introduce && !waits)
    error('introduce', 'this says something only with withoutCertificate: hold or ask');
  if (introduce && sign === 'never') {
    error('introduce', 'the note is signed, and the rule says sign: never');
  }
  if (notify.length > 0 && queue === null) {
    error('notify', 'this needs the section queue: the gateway writes these mails itself');
  }
  return problems;
}

type When = Sections['policy']['rules'][number]['when'];
type Plain = Omit<When, 'not' | 'anyOf'>;

/** Names in conditions that nothing has. */
function conditionChecks(
  { not, anyOf, ...plain }: When,
  path: readonly PropertyKey[],
  config: Partial<Sections>,
): CrossProblem[] {
  return [
    ...plainChecks(plain, path, config),
    ...(not === null ? [] : plainChecks(not, [...path, 'not'], config)),
    ...(anyOf ?? []).flatMap((one, i) => plainChecks(one, [...path, 'anyOf', i], config)),
  ];
}

function plainChecks(
  when: Plain,
  path: readonly PropertyKey[],
  { policy, submission }: Partial<Sections>,
): CrossProblem[] {
  const groups = policy?.groups.map(({ name }) => name);
  const listeners = submission?.map(({ name }) => name);
  const unknown = (
    key: 'recipientGroup' | 'senderGroup' | 'loginGroup' | 'listener',
    known: readonly string[] | undefined,
    what: string,
  ): CrossProblem[] =>
    (when[key] ?? []).flatMap((name, i) =>
      known === undefined || known.includes(name)
        ? []
        : [
            {
              path: [...path, key, i],
              severity: 'error',
              text: `there is no ${what} of this name: ${known.length === 0 ? 'there are none' : `there are ${known.join(', ')}`}`,
            },
          ],
    );
  return [
    ...unknown('recipientGroup', groups, 'group (policy.groups)'),
    ...unknown('senderGroup', groups, 'group (policy.groups)'),
    ...unknown('loginGroup', groups, 'group (policy.groups)'),
    ...unknown('listener', listeners, 'submission listener'),
  ];
}
