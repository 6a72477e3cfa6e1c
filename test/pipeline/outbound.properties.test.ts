import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { collectFrom } from '../../src/octets/collect.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type { HandOverOutcome, KnownCertificate } from '../../src/pipeline/ports.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { type Person, Town } from './support/people.ts';
import {
  ACCEPTED,
  away,
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  LOST,
  mail,
  PERMANENT,
  recipient,
  ruleFor,
  submission,
  TEMPORARY,
  textOf,
} from './support/ports.ts';

const ALICE = 'alice@example.org';
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `${name}@example.org`);
const WORDS = 'the boathouse key';

let town: Town;
let alice: Person;
let people: Person[];
beforeAll(async () => {
  town = await Town.found();
  alice = await town.person(ALICE);
  people = await Promise.all(NAMES.map((address) => town.person(address)));
});
afterAll(() => town?.end());

type Correspondent = {
  address: string;
  certificate: KnownCertificate['trust'] | null;
  shown: 'to' | 'cc' | 'bcc';
  rule: Pick<Rule, 'sign' | 'encrypt' | 'withoutCertificate' | 'minTrust' | 'form' | 'subject'>;
};

const demand = fc.constantFrom<Rule['sign']>('require', 'if-possible', 'if-possible', 'if-possible', 'never');
const rules = fc.record({
  sign: demand,
  encrypt: demand,
  withoutCertificate: fc.constantFrom<Rule['withoutCertificate']>(
    'refuse-all',
    'refuse-recipient',
    'send-signed',
  ),
  minTrust: fc.constantFrom<Rule['minTrust']>('harvested', 'verified', 'pinned'),
  form: fc.constantFrom<Rule['form']>('clear', 'opaque'),
  subject: fc.constantFrom<Rule['subject']>('keep', 'protect'),
});
const correspondents = fc.subarray(NAMES, { minLength: 1 }).chain((addresses) =>
  fc.tuple(
    ...addresses.map((address) =>
      fc.record<Correspondent>({
        address: fc.constant(address),
        certificate: fc.constantFrom('harvested', 'verified', 'pinned', 'pinned', 'pinned', null),
        shown: fc.constantFrom('to', 'cc', 'bcc'),
        rule: rules,
      }),
    ),
  ),
);
const outcomes = fc.array(
  fc.constantFrom<HandOverOutcome | Error>(
    ACCEPTED,
    ACCEPTED,
    ACCEPTED,
    TEMPORARY,
    PERMANENT,
    LOST,
    new Error('x'),
  ),
  { maxLength: 6 },
);
const troubles = fc.record({
  key: fc.constantFrom('there', 'there', 'there', 'there', 'there', 'there', 'away', 'none'),
  directory: fc.constantFrom('there', 'there', 'there', 'there', 'there', 'there', 'away'),
  memory: fc.constantFrom<'has' | 'record' | 'forget' | null>(
    null,
    null,
    null,
    null,
    'has',
    'record',
    'forget',
  ),
});

it('whatever the rules, certificates, outages and replies: 250 means everybody, nobody gets it twice or less protected than the rule says', async () => {
  await fc.assert(
    fc.asyncProperty(correspondents, outcomes, troubles, async (to, replies, trouble) => {
      const keyring = new FakeKeyring(trouble.key === 'none' ? [] : [alice]);
      if (trouble.key === 'away') keyring.signingTrouble = away();
      const directory = new FakeDirectory();
      if (trouble.directory === 'away') directory.trouble = away('directory.unavailable');
      const delivered = new FakeDelivered();
      if (trouble.memory !== null) delivered.trouble[trouble.memory] = away('store.unavailable');
      for (const { address, certificate } of to) {
        const person = people.find((one) => one.address === address);
        if (person !== undefined && certificate !== null) directory.knows(person, [], certificate);
      }
      const field = (name: Correspondent['shown']) =>
        to.filter(({ shown }) => shown === name).map(({ address }) => address);
      const octets = mail(
        [
          `From: ${ALICE}`,
          'Subject: where it lies',
          ...(['to', 'cc', 'bcc'] as const).flatMap((name) =>
            field(name).length === 0 ? [] : [`${name}: ${field(name).join(', ')}`],
          ),
        ],
        `${WORDS}\r\n`,
      );
      const story = outboundStory({
        ...{ keyring, directory, delivered, clock: () => new Date(), log: new FakeLog() },
        rules: to.map(({ address, rule }) => ruleFor([address], rule)),
      });
      const handedIn = submission(ALICE, [], octets);
      const recipients = to.map(({ address }) => recipient(address));
      for (const one of recipients) story.expectRecipient(handedIn.origin, one);
      const upstream = new FakeUpstream(...replies);
      const { kind, reply } = await story.submit(
        { ...handedIn, envelope: { ...handedIn.envelope, recipients } },
        upstream,
      );

      const everybody = to.map(({ address }) => address).sort();
      expect(new Set(upstream.served).size).toBe(upstream.served.length);
      expect(kind === 'accepted').toBe(reply.code < 300);
      if (kind === 'accepted') expect(upstream.served).toEqual(everybody);
      for (const variant of upstream.offered) {
        const text = (await collectFrom(variant.octets)).toString('latin1');
        expect(text).not.toMatch(/^bcc:/im);
        for (const { address, rule } of to.filter((one) =>
          variant.recipients.some((r) => textOf(r) === one.address),
        )) {
          const isReadable = text.includes(WORDS) || text.includes('smime-type=signed-data');
          if (rule.encrypt === 'require' && rule.withoutCertificate !== 'send-signed') {
            expect(isReadable, `${address} must be encrypted to`).toBe(false);
          }
          if (variant.protection.encrypted) {
            expect(text.includes('where it lies'), address).toBe(rule.subject === 'keep');
          }
          if (rule.sign === 'require') expect(variant.protection.signed, address).toBe(true);
          if (isReadable) expect(variant.protection.encrypted).toBe(false);
          // A blind copy that is encrypted shares its message with nobody.
          const isBlind = to.some((one) => one.address === address && one.shown === 'bcc');
          if (isBlind && variant.protection.encrypted) expect(variant.recipients).toHaveLength(1);
        }
      }
      // In each form: for mail that is only signed, for mail that is encrypted, and for mail that hides its Subject too.
      expect(keyring.signatures).toBeLessThanOrEqual(6);
    }),
    { numRuns: 300 },
  );
});
