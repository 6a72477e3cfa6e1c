import fc from 'fast-check';
import type { CertificateFacts, OutboundFacts, SigningFacts } from '../../src/policy/facts.ts';
import type { CertificateTrust, Condition, PlainCondition, Rule } from '../../src/policy/rules.ts';

/** Mails and rules by chance, small enough that rules often apply. */

/** Lowest first. */
export const ladder: readonly CertificateTrust[] = ['harvested', 'directory', 'verified', 'pinned'];

const domains = ['a.example', 'sub.a.example', 'b.example'];
const recipientAddress = fc
  .tuple(fc.constantFrom('x', 'y', 'z'), fc.constantFrom(...domains))
  .map((parts) => parts.join('@'));
const fromAddress = fc.constantFrom('alice@example.org', 'office@example.org', 'boss@example.org');

const someOf = (values: readonly string[]) =>
  fc.option(fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }), { nil: null });

const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: null, freq: 3 });
export const groups = [
  { name: 'board', addresses: ['x@a.example'], domains: ['b.example'], logins: ['alice'] },
  { name: 'lawyers', addresses: ['office@example.org'], domains: ['*.a.example'], logins: [] },
];
const groupNames = groups.map(({ name }) => name);
const types = ['application/pdf', 'image/png'];
const plainCondition: fc.Arbitrary<PlainCondition> = fc.record({
  recipient: maybe(fc.array(recipientAddress, { minLength: 1, maxLength: 2 })),
  recipientDomain: someOf([...domains, '*.a.example', '*']),
  recipientGroup: someOf(groupNames),
  sender: someOf(['alice@example.org', '*ice@example.org', 'office@example.org']),
  senderDomain: someOf(['example.org', '*.example.org']),
  senderGroup: someOf(groupNames),
  login: someOf(['alice', 'bob']),
  loginGroup: someOf(groupNames),
  listener: someOf(['submission', 'other']),
  header: maybe(
    fc.constantFrom(
      [{ name: 'x-class', test: { kind: 'present' as const } }],
      [{ name: 'x-class', test: { kind: 'equals' as const, values: ['Secret'] } }],
    ),
  ),
  subjectTag: someOf(['encrypt', 'plain']),
  size: maybe(fc.constantFrom({ atLeast: 2_000, below: null }, { atLeast: null, below: 2_000 })),
  attachmentType: someOf(['application/*', ...types]),
  attachmentExtension: someOf(['pdf', 'exe']),
  protection: maybe(fc.constantFrom(['none' as const], ['signed' as const, 'encrypted' as const])),
  certificateKnown: maybe(fc.constantFrom('yes' as const, 'no' as const, ...ladder)),
});
/** Nearly all of it unsaid: a rule that says everything never applies. */
const sparse = fc.tuple(plainCondition, fc.nat(), fc.nat()).map(([all, one, other]): PlainCondition => {
  const names = Object.keys(all);
  const kept = [names[one % names.length], names[other % names.length]];
  return Object.fromEntries(
    Object.entries(all).map(([name, value]) => [name, kept.includes(name) ? value : null]),
  ) as PlainCondition;
});
const condition: fc.Arbitrary<Condition> = fc
  .tuple(sparse, maybe(sparse), maybe(fc.array(sparse, { minLength: 1, maxLength: 2 })))
  .map(([plain, not, anyOf]) => ({ ...plain, not, anyOf }));

const anyRule: fc.Arbitrary<Omit<Rule, 'name'>> = fc.record({
  when: condition,
  revocation: maybe(fc.constantFrom('soft' as const, 'hard' as const)),
  requireTls: fc.constantFrom('no', 'no', 'upstream', 'onward'),
  algorithms: maybe(
    fc.constantFrom({ contentEncryption: 'aes256-gcm' as const, keyManagement: null, signature: null }),
  ),
  steering: maybe(
    fc.record({
      tags: fc.boolean(),
      header: maybe(fc.constant('x-class')),
      mayLower: fc.boolean(),
    }),
  ),
  stripTag: fc.boolean(),
  introduce: fc.boolean(),
  notify: fc.constantFrom([], ['audit@example.org']),
  appendTo: fc.constantFrom(null, null, 'sent'),
  sign: fc.constantFrom('require', 'if-possible', 'never'),
  encrypt: fc.constantFrom('require', 'if-possible', 'never'),
  withoutCertificate: fc.constantFrom('refuse-all', 'refuse-recipient', 'send-signed', 'hold', 'ask'),
  form: fc.constantFrom('clear', 'opaque', 'triple-wrap'),
  subject: fc.constantFrom('keep', 'protect'),
  alreadyProtected: fc.constantFrom('forward', 'refuse'),
  minTrust: fc.constantFrom(...ladder),
});

export const anyRules: fc.Arbitrary<Rule[]> = fc
  .array(anyRule, { maxLength: 5 })
  .map((rules) => rules.map((rule, i) => ({ ...rule, name: `rule-${i}` })));

const anyCertificates: fc.Arbitrary<CertificateFacts> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('usable' as const),
      certificates: fc.array(
        fc.record({
          trust: fc.constantFrom(...ladder),
          doubt: maybe(fc.record({ because: fc.constant('Who knows.'), mayPass: fc.boolean() })),
        }),
        { maxLength: 3 },
      ),
      incomplete: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'none' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'unusable' as const, because: 'No.' }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'lookup-failed' as const }) },
);

const anySigning: fc.Arbitrary<SigningFacts> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: 'available' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('unavailable' as const),
      duration: fc.constantFrom('temporary' as const, 'permanent' as const),
      publicText: fc.string(),
    }),
  },
);

export const anyFacts: fc.Arbitrary<OutboundFacts> = fc.record({
  principal: fc.constant({ login: 'alice' }),
  loginGroups: fc.subarray(groupNames),
  listener: fc.constantFrom('submission', 'other'),
  revocation: fc.constantFrom('soft', 'hard'),
  fromGroups: fc.subarray(groupNames),
  message: fc.record({
    octets: fc.constantFrom(1_000, 2_000, 3_000),
    header: fc
      .constantFrom([], ['secret'], ['public', 'secret'], ['encrypt'], ['plain', 'secret'])
      .map((values) => ({ kind: 'values' as const, of: new Map([['x-class', values]]) })),
    tags: fc.subarray(['encrypt', 'sign', 'plain']).map((found) => ({ found, looked: null })),
    attachments: fc.subarray(types).map((all) => all.map((mediaType) => ({ mediaType, extension: 'pdf' }))),
  }),
  from: fc.oneof({ weight: 6, arbitrary: fromAddress }, { weight: 1, arbitrary: fc.constant(null) }),
  sender: fc.oneof({ weight: 6, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fromAddress }),
  belongs: fc.constant(['alice@example.org', 'office@example.org']),
  protection: fc.oneof(
    { weight: 3, arbitrary: fc.constant('none' as const) },
    { weight: 1, arbitrary: fc.constantFrom('signed' as const, 'encrypted' as const) },
  ),
  signing: anySigning,
  upstream: fc.record({ tls: fc.boolean(), requireTls: fc.boolean() }),
  recipients: fc.array(
    fc.record({
      address: recipientAddress,
      groups: fc.subarray(groupNames),
      visible: fc.boolean(),
      certificates: anyCertificates,
    }),
    { minLength: 1, maxLength: 6 },
  ),
});
