import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readContent, writeContent } from '../../src/holding/held-content.ts';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import { heldProtector } from '../../src/pipeline/held-protector.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type { KnownCertificate, OpenOutcome, Standing } from '../../src/pipeline/ports.ts';
import type { MailToHold } from '../../src/pipeline/waiting.ts';
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
  FakeHolding,
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

/** Of somebody whose certificate is mostly missing. */
const scarceKnowledge: fc.Arbitrary<Knowledge> = fc
  .tuple(knowledge, fc.constantFrom('missing', 'missing', 'weak', 'any'))
  .map(([known, kind]) => {
    if (kind === 'any') return known;
    return { ...known, away: false, trust: kind === 'missing' ? null : 'harvested' };
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
const anyRule = fc.record({
  when: conditions,
  sign: demand,
  encrypt: demand,
  withoutCertificate: fc.constantFrom<Rule['withoutCertificate']>(
    'refuse-all',
    'refuse-recipient',
    'send-signed',
    'hold',
    'ask',
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
  introduce: fc.boolean(),
});
const rules = fc.array(anyRule, { maxLength: 3 });
/** For mail that waits: one rule that lets it wait, behind at most one other. */
const waitingRules = fc
  .tuple(
    fc.array(anyRule, { maxLength: 1 }),
    anyRule,
    fc.constantFrom<Rule['withoutCertificate']>('hold', 'ask'),
  )
  .map(([others, one, withoutCertificate]): Written[] => [
    ...others,
    {
      ...one,
      when: {},
      withoutCertificate,
      encrypt: 'require',
      form: one.form === 'opaque' ? 'opaque' : 'clear',
    },
  ]);
type Written = Omit<Rule, 'name' | 'when' | 'alreadyProtected' | 'algorithms' | 'notify' | 'appendTo'> & {
  when: Partial<PlainCondition>;
  gcm: boolean;
};
const LENIENT: Written = {
  ...{ when: {}, sign: 'if-possible', encrypt: 'if-possible', withoutCertificate: 'refuse-all' },
  ...{ minTrust: 'harvested', form: 'clear', subject: 'keep', revocation: null, requireTls: 'no' },
  ...{ gcm: false, steering: null, stripTag: false, introduce: false },
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
  /** Nothing can be kept. */
  full: usually(false, true),
  /** Longer mail is worked on where it lies. */
  memoryOctets: fc.constantFrom(0, 1_000_000),
});
/** What is known of each when the mail has waited; in the place of what was known when it came. */
const laterKnowledge = fc.tuple(knowledge, knowledge, knowledge, knowledge);

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

async function opened(octets: Buffer, person: Person): Promise<OpenOutcome> {
  const keyring = new FakeKeyring([alice, ...people]);
  const story = inboundStory({
    ...{ keyring, directory: new FakeDirectory(), anchors: [town.anchor], intermediates: [] },
    ...{ clock: () => new Date(), log: new FakeLog(), subjectEmailAddress: false },
  });
  return story.open({
    session: newSessionId(),
    principal: principalNamed(person.address),
    octets: bufferSource(octets),
  });
}

const layersOf = ({ layers }: SecurityReport) =>
  layers.map((layer) => (layer.kind === 'encrypted' ? `encrypted ${layer.algorithm}` : layer.kind));

type Failing = typeof failures extends fc.Arbitrary<infer F> ? F : never;

/** What a rule and the words of the author demand together. */
function demands({ steering, sign, encrypt }: Written, { tags }: Mail): Pick<Rule, 'sign' | 'encrypt'> {
  const words = steering === null ? [] : tags;
  const raises = words.includes('sign') || words.includes('encrypt');
  if (steering?.mayLower === true && words.includes('plain') && !raises) {
    return { sign: 'never', encrypt: 'never' };
  }
  return {
    sign: words.includes('sign') ? 'require' : sign,
    encrypt: words.includes('encrypt') ? 'require' : encrypt,
  };
}

/** One message that has left, for some of them. */
type Left = {
  octets: Buffer;
  addresses: readonly string[];
  requireTls: boolean;
  opening: ReadonlyMap<string, OpenOutcome>;
};

async function looked(octets: Buffer, addresses: readonly string[], requireTls: boolean): Promise<Left> {
  const opening = new Map<string, OpenOutcome>();
  for (const person of [alice, ...people]) opening.set(person.address, await opened(octets, person));
  return { octets, addresses, requireTls, opening };
}

/** @param known of this recipient when it was encrypted */
function expectProtected(
  { octets, addresses, requireTls, opening }: Left,
  address: string,
  rule: Written,
  known: Knowledge,
  said: Mail,
  failing: Failing,
): void {
  const certificate = usable(known, rule.revocation ?? failing.failure);
  const { sign, encrypt } = demands(rule, said);
  const outcome = opening.get(address);
  const report = outcome !== undefined && 'report' in outcome ? outcome.report : null;
  const layers = report === null ? [] : layersOf(report);
  const isEncrypted = layers.some((layer) => layer.startsWith('encrypted'));
  const isSigned = layers.includes('signed');
  const fits = certificate !== null && certificate !== 'away' && isTrusted(certificate, rule.minTrust);
  const text = octets.toString('latin1');

  if (isSigned) expect(outcome).toMatchObject({ verdict: { kind: 'trusted' } });
  if (sign === 'require') expect(isSigned, `${address} signed`).toBe(true);
  if (sign === 'if-possible' && failing.key === 'there') expect(isSigned).toBe(true);
  if (failing.key === 'away' && sign !== 'never') expect.fail('a key that is away is no reason to send');
  if (encrypt === 'never') expect(isEncrypted).toBe(false);
  else {
    expect(certificate, 'an outage').not.toBe('away');
    expect(isEncrypted, `${address} encrypted`).toBe(fits);
    if (!isEncrypted && encrypt === 'require') {
      expect([rule.withoutCertificate, isSigned]).toEqual(['send-signed', true]);
    }
  }
  if (isEncrypted) {
    // To exactly those who share it, and the author.
    const readers = [...opening].filter(([, one]) => one.kind === 'opened').map(([name]) => name);
    const author = failing.key === 'none' ? [] : [ALICE];
    expect(readers.sort()).toEqual([...author, ...addresses].sort());
    expect(text).not.toContain('boathouse');
    expect(text.includes('where it lies')).toBe(rule.subject === 'keep');
    if (rule.gcm) expect(layers).toContain('encrypted aes256-gcm');
    if (rule.gcm && known.only) expect.fail('a reader of CBC alone was given GCM');
    if (rule.form === 'triple-wrap' && isSigned) {
      expect(layers.map((layer) => layer.split(' ')[0])).toEqual(['signed', 'encrypted', 'signed']);
    }
  }
  if (rule.requireTls !== 'no') expect([requireTls, failing.tls]).toEqual([true, true]);
  if (rule.requireTls === 'onward') expect(failing.promises).toBe(true);
  if (rule.stripTag && (rule.when.subjectTag != null || rule.steering !== null)) {
    const taken = [
      ...(rule.when.subjectTag ?? []),
      ...(rule.steering === null ? [] : ['encrypt', 'sign', 'plain']),
    ];
    for (const tag of taken) expect(text).not.toMatch(new RegExp(`^Subject:.*\\[${tag}\\]`, 'im'));
  }
}

/** What waits is what its rule lets wait, and nobody can read it for whom it may not be readable. */
async function expectKept(
  { readable, introduction, terms, own }: MailToHold,
  rule: Written,
  known: Knowledge,
  said: Mail,
  failing: Failing,
): Promise<void> {
  const certificate = usable(known, rule.revocation ?? failing.failure);
  const { sign, encrypt } = demands(rule, said);
  expect(encrypt).toBe('require');
  expect(rule.withoutCertificate).toBe(terms.ask ? 'ask' : 'hold');
  expect(certificate, 'an outage').not.toBe('away');
  if (certificate !== null && certificate !== 'away') {
    expect(isTrusted(certificate, rule.minTrust), 'who can be encrypted to does not wait').toBe(false);
  }
  expect(own === null).toBe(failing.key === 'none');
  if (readable !== null) {
    expect(terms.ask, 'nobody may send it readable').toBe(true);
    expect(sign).not.toBe('never');
    expect(await opened(await collectFrom(readable), alice)).toMatchObject({ verdict: { kind: 'trusted' } });
  }
  if (introduction !== null) {
    expect(rule.introduce).toBe(true);
    expect(sign).not.toBe('never');
    expect(await opened(introduction, alice)).toMatchObject({ verdict: { kind: 'trusted' } });
    expect(introduction.toString('latin1')).not.toMatch(/boathouse|where it lies/);
  }
}

/** As it comes back from the database. */
const asStored = ({ id, from, login, terms }: MailToHold) => ({
  ...{ id, from, login, terms: JSON.parse(JSON.stringify(terms)) },
});

type Counts = { left: number; released: number };

async function neverLess(
  from: fc.Arbitrary<Written[]>,
  before: fc.Arbitrary<Knowledge>,
  numRuns: number,
): Promise<Counts> {
  const counts: Counts = { left: 0, released: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(NAMES, { minLength: 2 }),
      fc.tuple(before, before, before, before),
      from,
      mails,
      failures,
      laterKnowledge,
      async (to, all, special, said, failing, later) => {
        // Mostly somebody gets something: a lenient rule at the end.
        const written: readonly Written[] = [...special, LENIENT];
        const keyring = new FakeKeyring(failing.key === 'none' ? people : [alice, ...people]);
        if (failing.key === 'away') keyring.signingTrouble = away();
        const directory = new FakeDirectory();
        const standings = new Map<string, Standing>();
        let now = all;
        const find = directory.find.bind(directory);
        directory.find = async (address) => {
          if (now[NAMES.indexOf(address)]?.away === true) throw away('directory.unavailable');
          return find(address);
        };
        const learn = (what: typeof all) => {
          now = what;
          directory.known.clear();
          for (const [index, person] of people.entries()) {
            const known = what[index] as Knowledge;
            if (known.trust !== null) directory.knows(person, known.only ? [CBC] : [], known.trust);
            standings.set(person.certificate.fingerprint, STANDINGS[known.standing]);
          }
        };
        learn(all);
        const holding = new FakeHolding();
        if (failing.full) holding.trouble = away('holding.unavailable');
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
        const revocation = {
          failure: failing.failure,
          standing: {
            of: async ({ fingerprint }: { fingerprint: string }): Promise<Standing> =>
              standings.get(fingerprint) ?? { kind: 'good' },
          },
        };
        const { memoryOctets } = failing;
        const parts = { keyring, directory, revocation, clock: () => new Date(), log: new FakeLog() };
        const story = outboundStory({
          ...{ ...parts, delivered: new FakeDelivered(), holding, memoryOctets, rules: named },
          groups: [{ name: 'ab', addresses: ['a@example.org', 'B@example.org'], domains: [], logins: [] }],
        });
        const { kind } = await story.submit(submission(ALICE, to, octets), upstream);

        // Everybody has it or waits for it, or the client knows better.
        if (kind === 'accepted')
          expect([...upstream.served, ...holding.waiting].sort()).toEqual([...to].sort());
        else expect(holding.held).toEqual([]);
        const ruleOf = (address: string): Written => {
          const known = all[NAMES.indexOf(address)] as Knowledge;
          const judged = (one: Written) => usable(known, one.revocation ?? failing.failure);
          const first = written.find((one) => applies(one, address, judged(one), said) !== false);
          if (first === undefined) throw new Error(`${address} has no rule`);
          expect(applies(first, address, judged(first), said)).toBe(true);
          return first;
        };

        for (const { octets: message, recipients, requireTls } of upstream.offered) {
          counts.left++;
          const one = await looked(await collectFrom(message), recipients.map(textOf), requireTls);
          for (const address of one.addresses) {
            const known = all[NAMES.indexOf(address)] as Knowledge;
            expectProtected(one, address, ruleOf(address), known, said, failing);
          }
        }

        for (const held of holding.held) {
          for (const { recipient } of held.recipients) {
            const address = textOf(recipient);
            const known = all[NAMES.indexOf(address)] as Knowledge;
            await expectKept(held, ruleOf(address), known, said, failing);
          }
        }

        learn(later);
        const protector = heldProtector(parts);
        for (const held of holding.held) {
          for (const { recipient } of held.recipients) {
            const address = textOf(recipient);
            const rule = ruleOf(address);
            const known = later[NAMES.indexOf(address)] as Knowledge;
            const certificate = usable(known, rule.revocation ?? failing.failure);
            const protection = await protector.protect(asStored(held), recipient, async () => {
              const content = await readContent(writeContent(held));
              if (content === null) throw new Error('what was kept cannot be read');
              return content;
            });
            expect(protection.kind).toBe(
              certificate === 'away'
                ? 'later'
                : certificate === null || !isTrusted(certificate, rule.minTrust) || (rule.gcm && known.only)
                  ? 'waiting'
                  : 'ready',
            );
            if (protection.kind !== 'ready') continue;
            counts.released++;
            const requireTls = held.terms.requireTls !== 'no';
            const one = await looked(await collectFrom(protection.octets), [address], requireTls);
            expectProtected(one, address, rule, known, said, failing);
          }
        }
      },
    ),
    { numRuns },
  );
  return counts;
}

it('no mail leaves less protected than its rule says, whatever the rules, recipients, certificates and failures', async () => {
  const { left } = await neverLess(rules, knowledge, 800);
  expect(left).toBeGreaterThan(200);
});

it('mail that has waited leaves no less protected either, whatever has become known meanwhile', async () => {
  const { released } = await neverLess(waitingRules, scarceKnowledge, 300);
  expect(released).toBeGreaterThan(30);
});
