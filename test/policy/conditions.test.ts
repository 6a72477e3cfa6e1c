import { describe, expect, test } from 'vitest';
import { decideAtRecipient } from '../../src/policy/decide-at-recipient.ts';
import { decideOutbound } from '../../src/policy/decide-outbound.ts';
import { explain, recipientLines } from '../../src/policy/explain.ts';
import type { OutboundFacts, RecipientFacts } from '../../src/policy/facts.ts';
import { groupsOfAddress, groupsOfLogin } from '../../src/policy/groups.ts';
import { mayEncrypt } from '../../src/policy/may-encrypt.ts';
import type { Condition, Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from './always.ts';
import { facts, MESSAGE, ORIGIN, recipient, rule } from './facts.ts';

/** Two rules, of which the first has the condition and the second nothing: which one decides. */
function ruleFor(given: OutboundFacts, when: Partial<Condition>, changes: Partial<Rule> = {}): string | null {
  const rules = [rule({ ...changes, name: 'it', when }), rule({ name: 'rest' })];
  return explain(given, rules).recipients[0]?.rule ?? null;
}

function to(address: string, changes: Partial<RecipientFacts> = {}): Partial<OutboundFacts> {
  return { recipients: [{ ...recipient(address, 'verified'), ...changes }] };
}

const header = (name: string, ...values: string[]) => ({
  message: { ...MESSAGE, header: { kind: 'values' as const, of: new Map([[name, values]]) } },
});
const tags = (...found: string[]) => ({ message: { ...MESSAGE, tags: { found, looked: null } } });
const attached = (mediaType: string, extension: string | null = null) => ({
  message: { ...MESSAGE, attachments: [{ mediaType, extension }] },
});
const doubtful = (mayPass: boolean) => ({
  kind: 'usable' as const,
  certificates: [{ trust: 'verified' as const, doubt: { because: 'Nobody answered.', mayPass } }],
});

/** One row for each word of the vocabulary: a mail that it is about, one that it is not about, and what is said of that one. */
const VOCABULARY: readonly [Partial<Condition>, Partial<OutboundFacts>, Partial<OutboundFacts>, RegExp][] = [
  [{ sender: ['alice@example.org'] }, {}, { from: 'bob@example.org' }, /sender: no, the mail is from bob@/],
  [
    { sender: ['al*@example.org'] },
    { from: 'ALICIA@example.org', belongs: ['ALICIA@example.org'] },
    { from: 'bob@example.org' },
    /sender: no/,
  ],
  [{ senderDomain: ['example.org'] }, {}, { from: 'a@sub.example.org' }, /senderDomain: no, .*sub\.example/],
  [{ senderGroup: ['board'] }, { fromGroups: ['board'] }, { fromGroups: ['staff'] }, /the group staff/],
  [{ recipient: ['bob@partner.example'] }, to('BOB@partner.example.'), to('b@partner.example'), /is b@/],
  [
    { recipient: ['sales-*@partner.example'] },
    to('Sales-EU@partner.example'),
    to('sales@partner.example'),
    /recipient: no/,
  ],
  [
    { recipient: ['jos\u{e9}@partner.example'] },
    to('Jose\u{301}@partner.example'),
    to('jose@partner.example'),
    /recipient: no/,
  ],
  [{ recipient: ['*@partner.example'] }, to('x@partner.example'), to('x@evil.example'), /recipient: no/],
  [
    { recipientDomain: ['*.partner.example'] },
    to('b@x.y.partner.example'),
    to('b@partner.example'),
    /recipientDomain: no, the recipient's domain is partner\.example/,
  ],
  [
    { recipientGroup: ['lawyers'] },
    to('a@b.example', { groups: ['lawyers', 'x'] }),
    to('a@b.example'),
    /recipientGroup: no, the recipient is in no group/,
  ],
  [{ login: ['alice'] }, {}, { principal: { login: 'bob' } }, /login: no, the login is bob/],
  [{ loginGroup: ['board'] }, { loginGroups: ['board'] }, {}, /loginGroup: no, the login is in no group/],
  [{ listener: ['submission'] }, {}, { listener: 'scanners' }, /listener: no, the listener is scanners/],
  [
    { header: [{ name: 'X-Class', test: { kind: 'present' } }] },
    header('x-class', ''),
    header('x-class'),
    /header: no, there is no field X-Class/,
  ],
  [
    { header: [{ name: 'x-class', test: { kind: 'equals', values: ['Top  Secret'] } }] },
    header('x-class', 'public', 'top secret'),
    header('x-class', 'top secrets'),
    /header: no, of a field x-class the value was compared/,
  ],
  [
    { header: [{ name: 'x-class', test: { kind: 'contains', values: ['secret'] } }] },
    header('x-class', 'top secret'),
    header('x-class', 'secre', 't'),
    /header: no, of 2 fields x-class each value was compared/,
  ],
  [{ subjectTag: ['encrypt'] }, tags('x', 'encrypt'), tags('encrypted'), /begins with \[encrypted\]/],
  [{ size: { atLeast: 1_000, below: null } }, {}, { message: { ...MESSAGE, octets: 999 } }, /999 octets/],
  [{ size: { atLeast: null, below: 1_001 } }, {}, { message: { ...MESSAGE, octets: 1_001 } }, /size: no/],
  [{ attachmentType: ['application/*'] }, attached('application/pdf'), attached('image/png'), /image\/png/],
  [{ attachmentType: ['image/png'] }, attached('image/png'), attached('image/pngx'), /attachmentType: no/],
  [
    { attachmentExtension: ['exe'] },
    attached('text/plain', 'exe'),
    attached('text/plain', null),
    /attachmentExtension: no, the attachments are text\/plain/,
  ],
  [{ attachmentExtension: ['exe'] }, attached('a/b', 'exe'), {}, /no attachment that can be seen/],
  [{ protection: ['signed', 'encrypted'] }, { protection: 'signed' }, {}, /protection: no, the mail program/],
  [{ certificateKnown: 'yes' }, {}, { recipients: [recipient('b@c.example')] }, /no certificate is known/],
  [{ certificateKnown: 'no' }, { recipients: [recipient('b@c.example')] }, {}, /is known \(verified\)/],
  [
    { certificateKnown: 'directory' },
    {},
    { recipients: [recipient('b@c.example', 'harvested')] },
    /certificateKnown: no, a certificate is known \(harvested\)/,
  ],
  [{ not: { ...rule({}).when, login: ['bob'] } }, {}, { principal: { login: 'bob' } }, /not\.login: yes/],
  [
    { anyOf: [rule({ when: { login: ['bob'] } }).when, rule({ when: { subjectTag: ['x'] } }).when] },
    tags('x'),
    tags('y'),
    /anyOf\[1\]\.subjectTag: no/,
  ],
];

describe('the vocabulary of conditions', () => {
  test.each(VOCABULARY)('%j', (when, applies, other, said) => {
    expect(ruleFor(facts(applies), when)).toBe('it');
    const given = facts({ belongs: ['alice@example.org', 'bob@example.org', 'a@sub.example.org'], ...other });
    expect(ruleFor(given, when)).toBe('rest');
    const { recipients } = explain(given, [rule({ name: 'it', when }), rule({ name: 'rest' })]);
    expect(recipients.flatMap((one) => recipientLines(one)).join('\n')).toMatch(said);
  });

  test('a star stands for anything before the @, and for nothing behind it', () => {
    const when = { recipient: ['sales-*@partner.example'] };
    for (const address of ['sales-@partner.example', 'sales-a.b-c@Partner.Example']) {
      expect([address, ruleFor(facts(to(address)), when)]).toEqual([address, 'it']);
    }
    for (const address of [
      '"sales-x"@partner.example.evil',
      'sales-x@evil.example',
      'xsales-@partner.example',
    ]) {
      expect([address, ruleFor(facts(to(address)), when)]).toEqual([address, 'rest']);
    }
    expect(ruleFor(facts(to('abc@x.example')), { recipient: ['ab*bc@x.example'] })).toBe('rest');
  });

  test('groups are addresses, domains and logins', () => {
    const groups = [
      { name: 'a', addresses: ['bob@x.example', 'sales-*@x.example'], domains: [], logins: ['alice'] },
      { name: 'b', addresses: [], domains: ['*.x.example', 'y.example'], logins: [] },
    ];
    expect(groupsOfAddress(groups, 'BOB@X.example')).toEqual(['a']);
    expect(groupsOfAddress(groups, 'sales-1@x.example')).toEqual(['a']);
    expect(groupsOfAddress(groups, 'z@sub.x.example')).toEqual(['b']);
    expect(groupsOfAddress(groups, 'z@z.example')).toEqual([]);
    expect([groupsOfLogin(groups, 'alice'), groupsOfLogin(groups, 'Alice')]).toEqual([['a'], []]);
  });
});

describe('an outage while a rule asks whether a certificate is known', () => {
  const rules = [
    rule({ name: 'known', when: { certificateKnown: 'yes' } }),
    rule({ name: 'rest', sign: 'never', encrypt: 'never' }),
  ];

  test('is a refusal for now, whatever the rules behind say', () => {
    const away = { ...recipient('b@c.example'), certificates: { kind: 'lookup-failed' as const } };
    for (const wanted of ['yes', 'no', 'pinned'] as const) {
      const asked = [
        rule({ name: 'known', encrypt: 'never', when: { certificateKnown: wanted } }),
        ...rules.slice(1),
      ];
      expect(decideOutbound(facts({ recipients: [away] }), asked)).toMatchObject({
        kind: 'refuse',
        duration: 'temporary',
        enhancedCode: '4.4.3',
      });
    }
    const text = explain(facts({ recipients: [away] }), rules).recipients.flatMap((one) =>
      recipientLines(one),
    );
    expect(text).toContain('  rule known may apply, which nobody can tell for now');
  });

  test('is none where another condition does not hold', () => {
    const away = { ...recipient('b@c.example'), certificates: { kind: 'lookup-failed' as const } };
    const asked = [
      rule({ when: { certificateKnown: 'no', login: ['bob'] } }),
      rule({ name: 'rest', sign: 'never', encrypt: 'never' }),
    ];
    expect(decideOutbound(facts({ recipients: [away] }), asked).kind).toBe('deliver');
  });

  test.each([
    ['hard', true, 'refuse'],
    ['hard', false, 'rest'],
    ['soft', true, 'it'],
  ] as const)(
    'revocation that cannot be checked counts as the rule says: %s, may pass %s',
    (revocation, mayPass, what) => {
      const given = facts({ recipients: [{ ...recipient('b@c.example'), certificates: doubtful(mayPass) }] });
      const when = { certificateKnown: 'yes' as const };
      if (what === 'refuse') {
        const decision = decideOutbound(given, [rule({ when, revocation }), rule({ encrypt: 'never' })]);
        expect(decision).toMatchObject({ kind: 'refuse', duration: 'temporary', enhancedCode: '4.7.5' });
      } else expect(ruleFor(given, when, { revocation })).toBe(what);
    },
  );
});

describe('at RCPT TO', () => {
  const strict = rule({ name: 'strict', withoutCertificate: 'refuse-recipient' });
  const none = { address: 'b@c.example', groups: [], certificates: { kind: 'none' as const } };

  test.each<[string, Partial<Condition>]>([
    ['sender', { sender: ['a@b.example'] }],
    ['senderGroup', { senderGroup: ['board'] }],
    ['header', { header: [{ name: 'x', test: { kind: 'present' } }] }],
    ['subjectTag', { subjectTag: ['x'] }],
    ['size', { size: { atLeast: 1, below: null } }],
    ['attachmentType', { attachmentType: ['a/b'] }],
    ['attachmentExtension', { attachmentExtension: ['b'] }],
    ['protection', { protection: ['none'] }],
    ['not', { not: rule({ when: { subjectTag: ['x'] } }).when }],
    ['anyOf', { anyOf: [rule({ when: { subjectTag: ['x'] } }).when] }],
  ])('a rule with %s leaves everything behind it to the message', (_, when) => {
    expect(decideAtRecipient(ORIGIN, none, [strict])).not.toBeNull();
    expect(decideAtRecipient(ORIGIN, none, [rule({ encrypt: 'never', when }), strict])).toBeNull();
    expect(mayEncrypt(ORIGIN, none, [rule({ encrypt: 'never', when }), strict])).toBe(true);
  });

  test.each<[string, Partial<Condition>]>([
    ['listener', { listener: ['other'] }],
    ['loginGroup', { loginGroup: ['board'] }],
    ['recipientGroup', { recipientGroup: ['board'] }],
    ['recipient', { recipient: ['x*@c.example'] }],
    ['certificateKnown', { certificateKnown: 'yes' }],
    ['not', { not: rule({ when: { listener: ['submission'] } }).when }],
    ['anyOf', { anyOf: [rule({ when: { listener: ['other'] } }).when] }],
  ])('%s can be told already', (_, when) => {
    expect(decideAtRecipient(ORIGIN, none, [rule({ encrypt: 'never', when }), strict])).not.toBeNull();
  });

  test('certificates are looked for where a rule asks whether there is one, though none encrypts', () => {
    const asks = rule({ encrypt: 'never', when: { certificateKnown: 'no' } });
    expect(mayEncrypt(ORIGIN, none, [asks, rule({ encrypt: 'never' })])).toBe(true);
  });
});

describe('a mail for 1,000 recipients', () => {
  test('takes steps by recipients and rules, and not by how long lists and groups are', () => {
    let steps = 0;
    const counting = (addresses: string[]) =>
      new Proxy(addresses, {
        get(target, key) {
          steps++;
          return Reflect.get(target, key);
        },
      });
    const listed = Array.from({ length: 10_000 }, (_, i) => `r${i}@long.example`);
    const rules = Array.from({ length: 20 }, (_, i) =>
      rule({ name: `r${i}`, when: { recipient: counting(listed) } }),
    );
    const recipients = Array.from({ length: 1_000 }, (_, i) => recipient(`b${i}@c.example`, 'verified'));
    const given = facts({ recipients });
    const all = [...rules, rule({})];
    expect(decideOutbound(given, all)).toMatchObject({ kind: 'deliver', variants: [{ rule: 'rule' }] });
    steps = 0;
    decideOutbound(given, all);
    expect(steps).toBeLessThanOrEqual(recipients.length * rules.length * 2);
  });
});

describe('while nobody knows who is in a group', () => {
  const away = { ...recipient('b@c.example', 'verified'), groupsAway: ['board'] };
  const rules = (when: Partial<Condition>) => [
    rule({ name: 'it', when }),
    rule({ name: 'rest', encrypt: 'never' }),
  ];

  test.each<[Partial<Condition>, Partial<OutboundFacts>]>([
    [{ recipientGroup: ['board'] }, { recipients: [away] }],
    [{ recipientGroup: ['x', 'board'] }, { recipients: [away] }],
    [{ not: { ...ALWAYS, recipientGroup: ['board'] } }, { recipients: [away] }],
    [{ senderGroup: ['board'] }, { fromGroupsAway: ['board'] }],
    [{ loginGroup: ['board'] }, { loginGroupsAway: ['board'] }],
  ])('%j, no rule behind decides in its place', (when, changes) => {
    const given = facts({ recipients: [{ ...away, groupsAway: [] }], ...changes });
    expect(decideOutbound(given, rules(when))).toMatchObject({ kind: 'refuse', duration: 'temporary' });
    const text = explain(given, rules(when)).recipients.flatMap((one) => recipientLines(one));
    expect(text.join()).toMatch(/not known for now, .*whether in board could not be looked up/);
  });

  test.each<[Partial<Condition>, Partial<RecipientFacts>, string]>([
    [{ recipientGroup: ['staff'] }, {}, 'rest'],
    [{ recipientGroup: ['board', 'staff'] }, { groups: ['staff'] }, 'it'],
    [{ recipientGroup: ['board'], login: ['nobody'] }, {}, 'rest'],
  ])('%j, what does not depend on it is decided', (when, changes, name) => {
    expect(ruleFor(facts({ recipients: [{ ...away, ...changes }] }), when)).toBe(name);
  });

  test('certificates are looked for, in case it matters', () => {
    const origin = { ...ORIGIN, loginGroupsAway: ['board'] };
    const asked = [
      rule({ name: 'it', when: { loginGroup: ['board'] } }),
      rule({ name: 'rest', encrypt: 'never' }),
    ];
    expect(mayEncrypt(origin, { address: 'b@c.example', groups: [] }, asked)).toBe(true);
    expect(mayEncrypt(ORIGIN, { address: 'b@c.example', groups: [] }, asked)).toBe(false);
  });
});
