import { parsePolicy } from '../../../src/config/load-policy.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { exampleText } from '../../../src/config/reference.ts';
import { fieldText } from '../../../src/mail/field-text.ts';
import { withoutTags } from '../../../src/mail/strip-tags.ts';
import { subjectTags } from '../../../src/mail/subject-tags.ts';
import { CONDITION_NAMES } from '../../../src/policy/conditions.ts';
import { type FuzzTarget, holds } from '../target.ts';

const RULES = `policy:
  groups:
    - { name: board, addresses: [ "a*@b.example" ], domains: [ "*.c.example" ], logins: [ alice ] }
  rules:
    - name: first
      when:
        recipient: [ sales-*@b.example ]
        header: [ { name: X-Class, equals: [ secret ] } ]
        size: { atLeast: 1 MiB }
        not: { subjectTag: [ plain ] }
        anyOf: [ { loginGroup: [ board ] }, { certificateKnown: verified } ]
      sign: require
      encrypt: require
      form: triple-wrap
      algorithms: { signature: rsa-pss }
      steering: { tags: true, header: X-Steer, mayLower: true }
      stripTag: true
    - { name: rest, sign: never, encrypt: never }
`;

export const policyTargets: readonly FuzzTarget[] = [
  {
    name: 'policy-rules',
    form: 'lines',
    allowed: [],
    dictionary: [
      ...CONDITION_NAMES.map((name) => `${name}: `),
      ...[
        'not: ',
        'anyOf: ',
        '- ',
        '[ ',
        ' ]',
        '{ ',
        ' }',
        '*',
        '@',
        '&a ',
        '*a',
        '|',
        '>',
        '"',
        "'",
        '<<',
        '---',
        '\t',
      ],
      ...['require', 'if-possible', 'never', 'require: ', 'rules: ', 'name: ', 'steering: ', 'algorithms: '],
    ],
    maxOctets: 8 * 1024,
    // YAML is read by a library, which knows lines and columns of everything.
    budget: { ms: 200, usPerOctet: 100 },
    caches: 16 * 1024 * 1024,
    prepare: () => ({
      seeds: [RULES, exampleText().slice(exampleText().indexOf('policy:'))].map((text) => Buffer.from(text)),
      run(input) {
        const text = input.toString('utf8');
        const loaded = parsePolicy('rules.yaml', text, []);
        if (loaded.kind === 'ok') return loaded.policy.rules.length;
        const lines = text.split(/\r\n|\n|\r/).length;
        holds(loaded.problems.length > 0, 'what is wrong is said');
        for (const problem of loaded.problems) {
          holds(problem.line >= 1 && problem.line <= lines, 'the line is one of the file');
          holds(problem.column >= 1, 'there is a column');
          holds(!/\p{Cc}/u.test(formatProblem(problem)), 'a terminal can show it');
        }
        return loaded.problems.length;
      },
    }),
  },
  {
    name: 'policy-subject-tags',
    form: 'octets',
    allowed: [],
    // A charset that nobody knows costs an error for each word.
    budget: { ms: 50, usPerOctet: 10 },
    dictionary: [
      '[encrypt]',
      '[sign] ',
      '=?utf-8?Q?',
      '=?utf-8?B?W3NpZ25d?=',
      '?=',
      '=5B',
      '=5D',
      '_',
      '\r\n ',
      '=?x?q?a?=',
    ],
    prepare: () => ({
      seeds: [
        ' [encrypt] [x] Offer\r\n',
        ' =?utf-8?Q?=5Bencrypt=5D_gr=C3=BCn?=\r\n =?iso-8859-1?B?W3NpZ25d?= a\r\n',
      ].map((text) => Buffer.from(text, 'latin1')),
      run(input) {
        const raw = input.toString('latin1').replace(/\r(?!\n)|\n(?![ \t])/g, '');
        const text = (value: string) => fieldText(value.replace(/\r?\n(?=[ \t])|\r?\n$/g, ''));
        const tags = ['encrypt', 'sign'];
        const left = withoutTags(raw, tags);
        const removed = subjectTags(text(raw)).filter(({ tag }) => tags.includes(tag));
        if (removed.length === 0) holds(left === raw, 'nothing changes where there is nothing to take out');
        holds(!/\n(?![ \t]|$)/.test(left.replace(/\r?\n$/, '')), 'a Subject stays one field');
        return left;
      },
    }),
  },
];
