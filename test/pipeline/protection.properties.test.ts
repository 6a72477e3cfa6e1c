import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type { KnownCertificate, OpenOutcome, Standing, Variant } from '../../src/pipeline/ports.ts';
import type { PlainCondition, Rule } from '../../src/policy/rules.ts';
import { isTrusted } from '../../src/policy/trust.ts';
import type { SecurityReport } from '../../src/smime/report.ts';
import { ALWAYS } from '../policy/always.ts';
import { principalNamed } from '../support/principal.ts';
import { type Person, Town } from './support/people.ts';
import {
  away,
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  LOST,
  rule as madeRule,
  mail,
  PERMANENT,
  submission,
  textOf,
} from './support/ports.ts';

/**
 * "No mail leaves less protected than its rule says", against what really left: decoded, with every key tried. Which rule applies and what
 * it asks for is read here in the plainest way, and not by the code under test.
 */

const ALICE = 'alice@example.org';
const NAMES = ['a', 'b', 'c', 'd'].map((name) => `${name}@example.org`);
const CBC = '2.16.840.1.101.3.4.1.42';

let town: Town;
let alice: Person;
let people: Person[];
beforeAll(async () => {
  town = await Town.found();
  alice = await town.person(ALICE);
  people = await Promise.all(NAMES.map((address) => town.person(address)));
});
afterAll(() => town?.end());

type Knowledge = {
  trust: KnownCertificate['trust'] | null;
  standing: 'good' | 'revoked' | 'unchecked' | 'never';
  /** Its mail program says that it reads CBC alone. */
  only: boolean;
  away: boolean;
};

const STANDINGS: Readonly<Record<Knowledge['standing'], Standing>> = {
  good: { kind: 'good' },
  revoked: { kind: 'revoked', why: 'It was stolen.' },
  unchecked: { kind: 'unchecked', why: 'Nobody answered.', mayPass: true },
  never: { kind: 'unchecked', why: 'Nobody can be asked.', mayPass: false },
};

const usually = <T>(usual: T, ...others: T[]) =>
  fc.oneof(
    { weight: 5, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );
const trusts = ['harvested', 'directory', 'verified', 'pinned'] as const;
const knowledge: fc.Arbitrary<Knowledge> = fc.record({
  trust: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...trusts) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  standing: usually<Knowledge['standing']>('good', 'revoked', 'unchecked', 'never'),
  only: usually(false, true),
  away: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

const conditions: fc.Arbitrary<Partial<PlainCondition>> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({}) },
  { weight: 6, arbitrary: fc.subarray(NAMES, { minLength: 1 }).map((recipient) => ({ recipient })) },
  {
    weight: 6,
    arbitrary: fc.constantFrom<Partial<PlainCondition>>(
      { recipientGroup: ['ab'] },
      { subjectTag: ['secret'] },
      { header: [{ name: 'x-class', test: { kind: 'equals', values: ['secret'] } }] },
      { attachmentType: ['application/*'] },
      { size: { atLeast: 5_000, below: null } },
      { certificateKnown: 'yes' },
      { certificateKnown: 'no' },
      { certificateKnown: 'verified' },
    ),
  },
);
const demand = fc.constantFrom<Rule['sign']>('require', 'require', 'if-possible', 'never');
const rules = fc.array(
  fc.record({
    when: conditions,
    sign: demand,
    encrypt: demand,
    withoutCertificate: fc.constantFrom<Rule['withoutCertificate']>(
      'refuse-all',
      'refuse-recipient',
      'send-signed',
    ),
    minTrust: fc.constantFrom(...trusts),
    form: fc.constantFrom<Rule['form']>('clear', 'opaque', 'triple-wrap'),
    subject: fc.constantFrom<Rule['subject']>('keep', 'protect'),
    revocation: fc.constantFrom('soft', 'hard', null),
    requireTls: usually<Rule['requireTls']>('no', 'upstream', 'onward'),
    gcm: fc.boolean(),
    steering: fc.option(
      fc.record({ tags: fc.constant(true), header: fc.constant(null), mayLower: fc.boolean() }),
      { nil: null },
    ),
    stripTag: fc.boolean(),
  }),
  { maxLength: 3 },
);
type Written = Omit<
  Rule,
  'name' | 'when' | 'alreadyProtected' | 'algorithms' | 'introduce' | 'notify' | 'appendTo'
> & {
  when: Partial<PlainCondition>;
  gcm: boolean;
};
const LENIENT: Written = {
  ...{ when: {}, sign: 'if-possible', encrypt: 'if-possible', withoutCertificate: 'refuse-all' },
  ...{ minTrust: 'harvested', form: 'clear', subject: 'keep', revocation: null, requireTls: 'no' },
  ...{ gcm: false, steering: null, stripTag: false },
};
const mails = fc.record({
  tags: fc.subarray(['secret', 'encrypt', 'sign', 'plain']),
  classified: fc.boolean(),
  attached: fc.boolean(),
  large: fc.boolean(),
});
type Mail = typeof mails extends fc.Arbitrary<infer M> ? M : never;
const failures = fc.record({
  key: usually('there', 'away', 'none'),
  tls: usually(true, false),
  promises: fc.boolean(),
  failure: fc.constantFrom<'soft' | 'hard'>('soft', 'hard'),
  refusedAt: usually<number | null>(null, 0, 1, 2),
});

/** What a rule may use of a recipient's one certificate; `away`: nobody knows. */
function usable(known: Knowledge, revocation: 'soft' | 'hard'): KnownCertificate['trust'] | 'away' | null {
  if (known.away) return 'away';
  if (known.trust === null || known.standing === 'revoked') return null;
  if (known.standing === 'good' || revocation === 'soft') return known.trust;
  return known.standing === 'unchecked' ? 'away' : null;
}

function applies(
  { when }: Written,
  address: string,
  certificate: ReturnType<typeof usable>,
  { tags, classified, attached, large }: Mail,
): boolean | 'away' {
  if (when.recipient != null && !when.recipient.includes(address)) return false;
  if (when.recipientGroup != null && !['a@example.org', 'b@example.org'].includes(address)) return false;
  if (when.subjectTag != null && !tags.includes('secret')) return false;
  if (when.header != null && !classified) return false;
  if (when.attachmentType != null && !attached) return false;
  if (when.size != null && !large) return false;
  if (when.certificateKnown == null) return true;
  if (certificate === 'away') return 'away';
  if (when.certificateKnown === 'no') return certificate === null;
  return (
    certificate !== null && isTrusted(certificate, when.certificateKnown === 'yes' ? 'harvested' : 'verified')
  );
}

async function opened(variant: Variant, person: Person, keyring: FakeKeyring): Promise<OpenOutcome> {
  const story = inboundStory({
    ...{ keyring, directory: new FakeDirectory(), anchors: [town.anchor], intermediates: [] },
    ...{ clock: () => new Date(), log: new FakeLog(), subjectEmailAddress: false },
  });
  return story.open({
    session: newSessionId(),
    principal: principalNamed(person.address),
    octets: bufferSource(variant.octets),
  });
}

const layersOf = ({ layers }: SecurityReport) =>
  layers.map((layer) => (layer.kind === 'encrypted' ? `encrypted ${layer.algorithm}` : layer.kind));

it('no mail leaves less protected than its rule says, whatever the rules, recipients, certificates and failures', async () => {
  let left = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(NAMES, { minLength: 2 }),
      fc.tuple(knowledge, knowledge, knowledge, knowledge),
      rules,
      mails,
      failures,
      async (to, all, special, said, failing) => {
        // Mostly somebody gets something: a lenient rule at the end.
        const written: readonly Written[] = [...special, LENIENT];
        const keyring = new FakeKeyring(failing.key === 'none' ? people : [alice, ...people]);
        if (failing.key === 'away') keyring.signingTrouble = away();
        const directory = new FakeDirectory();
        const standings = new Map<string, Standing>();
        for (const [index, person] of people.entries()) {
          const known = all[index] as Knowledge;
          if (known.trust !== null) directory.knows(person, known.only ? [CBC] : [], known.trust);
          standings.set(person.certificate.fingerprint, STANDINGS[known.standing]);
        }
        const find = directory.find.bind(directory);
        directory.find = async (address) => {
          if (all[NAMES.indexOf(address)]?.away === true) throw away('directory.unavailable');
          return find(address);
        };
        const named = written.map(({ gcm, ...one }, index) =>
          madeRule({
            ...one,
            name: `rule-${index}`,
            when: { ...ALWAYS, ...one.when },
            algorithms: gcm
              ? { contentEncryption: 'aes256-gcm', keyManagement: null, signature: null }
              : null,
          }),
        );
        const octets = mail(
          [
            `From: ${ALICE}`,
            `To: ${to.join(', ')}`,
            `Subject: ${said.tags.map((tag) => `[${tag}]`).join(' ')} where it lies`,
            ...(said.classified ? ['X-Class: =?utf-8?Q?Secret?='] : []),
            ...(said.attached ? ['Content-Type: application/pdf'] : []),
          ],
          `the boathouse key\r\n${'x'.repeat(said.large ? 5_000 : 10)}\r\n`,
        );
        const upstream = new FakeUpstream();
        upstream.upstream = { tls: failing.tls, requireTls: failing.tls && failing.promises };
        let handed = 0;
        const deliver = upstream.deliver.bind(upstream);
        upstream.deliver = async (variant) => {
          const outcome = await deliver(variant);
          return handed++ === failing.refusedAt ? (handed % 2 === 0 ? LOST : PERMANENT) : outcome;
        };
        const story = outboundStory({
          ...{
            keyring,
            directory,
            delivered: new FakeDelivered(),
            clock: () => new Date(),
            log: new FakeLog(),
          },
          rules: named,
          groups: [{ name: 'ab', addresses: ['a@example.org', 'B@example.org'], domains: [], logins: [] }],
          revocation: {
            failure: failing.failure,
            standing: { of: async ({ fingerprint }) => standings.get(fingerprint) ?? { kind: 'good' } },
          },
        });
        await story.submit(submission(ALICE, to, octets), upstream);

        for (const variant of upstream.offered) {
          left++;
          const addresses = variant.recipients.map(textOf);
          const opening = new Map<string, OpenOutcome>();
          for (const person of [alice, ...people]) {
            opening.set(person.address, await opened(variant, person, new FakeKeyring([alice, ...people])));
          }
          for (const address of addresses) {
            const known = all[NAMES.indexOf(address)] as Knowledge;
            const judged = (one: Written) => usable(known, one.revocation ?? failing.failure);
            const first = written.find((one) => applies(one, address, judged(one), said) !== false);
            expect(first, `${address} has a rule`).toBeDefined();
            if (first === undefined) return;
            const certificate = judged(first);
            expect(applies(first, address, certificate, said)).toBe(true);

            const words = first.steering === null ? [] : said.tags;
            const lowered =
              first.steering?.mayLower === true &&
              words.includes('plain') &&
              !words.includes('sign') &&
              !words.includes('encrypt');
            const sign = lowered ? 'never' : words.includes('sign') ? 'require' : first.sign;
            const encrypt = lowered ? 'never' : words.includes('encrypt') ? 'require' : first.encrypt;

            const outcome = opening.get(address);
            const report = outcome !== undefined && 'report' in outcome ? outcome.report : null;
            const layers = report === null ? [] : layersOf(report);
            const isEncrypted = layers.some((layer) => layer.startsWith('encrypted'));
            const isSigned = layers.includes('signed');
            const fits =
              certificate !== null && certificate !== 'away' && isTrusted(certificate, first.minTrust);

            if (isSigned) expect(outcome).toMatchObject({ verdict: { kind: 'trusted' } });
            if (sign === 'require') expect(isSigned, `${address} signed`).toBe(true);
            if (sign === 'if-possible' && failing.key === 'there') expect(isSigned).toBe(true);
            if (failing.key === 'away' && sign !== 'never')
              expect.fail('a key that is away is no reason to send');
            if (encrypt === 'never') expect(isEncrypted).toBe(false);
            else {
              expect(certificate, 'an outage').not.toBe('away');
              expect(isEncrypted, `${address} encrypted`).toBe(fits);
              if (!isEncrypted && encrypt === 'require') {
                expect([first.withoutCertificate, isSigned]).toEqual(['send-signed', true]);
              }
            }
            if (isEncrypted) {
              // To exactly those who share it, and the author.
              const readers = [...opening].filter(([, one]) => one.kind === 'opened').map(([name]) => name);
              const author = failing.key === 'none' ? [] : [ALICE];
              expect(readers.sort()).toEqual([...author, ...addresses].sort());
              const text = variant.octets.toString('latin1');
              expect(text).not.toContain('boathouse');
              expect(text.includes('where it lies')).toBe(first.subject === 'keep');
              if (first.gcm) expect(layers).toContain('encrypted aes256-gcm');
              if (first.gcm && known.only) expect.fail('a reader of CBC alone was given GCM');
              if (first.form === 'triple-wrap' && isSigned) {
                expect(layers.map((layer) => layer.split(' ')[0])).toEqual(['signed', 'encrypted', 'signed']);
              }
            }
            if (first.requireTls !== 'no') expect([variant.requireTls, failing.tls]).toEqual([true, true]);
            if (first.requireTls === 'onward') expect(failing.promises).toBe(true);
            if (first.stripTag && (first.when.subjectTag != null || first.steering !== null)) {
              const taken = [
                ...(first.when.subjectTag ?? []),
                ...(first.steering === null ? [] : ['encrypt', 'sign', 'plain']),
              ];
              const text = variant.octets.toString('latin1');
              for (const tag of taken) expect(text).not.toMatch(new RegExp(`^Subject:.*\\[${tag}\\]`, 'im'));
            }
          }
        }
      },
    ),
    { numRuns: 1_000 },
  );
  expect(left).toBeGreaterThan(200);
});
