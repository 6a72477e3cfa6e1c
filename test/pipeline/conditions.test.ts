import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { explainSubmission } from '../../src/pipeline/explain-submission.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import { ALWAYS, type PlainCondition, type Rule } from '../../src/policy/rules.ts';
import { type Person, Town } from './support/people.ts';
import {
  away,
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  mail,
  rule,
  submission,
} from './support/ports.ts';

const ALICE = 'alice@example.org';
const BOB = 'bob@example.org';

let town: Town;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  town = await Town.found();
  [alice, bob] = await Promise.all([town.person(ALICE), town.person(BOB)]);
});
afterAll(() => town?.end());

let directory: FakeDirectory;
let log: FakeLog;
beforeEach(() => {
  directory = new FakeDirectory();
  log = new FakeLog();
});

function parts(rules: readonly Rule[]) {
  const keyring = new FakeKeyring([alice, bob]);
  const groups = [{ name: 'friends', addresses: ['b*@example.org'], domains: [], logins: [ALICE] }];
  return { keyring, directory, delivered: new FakeDelivered(), rules, groups, clock: () => new Date(), log };
}

/** Which rule decided, by what left and by what explain says. */
async function decidedBy(rules: readonly Rule[], octets: Buffer): Promise<string> {
  const upstream = new FakeUpstream();
  const sent = submission(ALICE, [BOB], octets);
  const explained = await explainSubmission(sent, upstream.upstream, parts(rules));
  const { kind, reply } = await outboundStory(parts(rules)).submit(sent, upstream);
  if (kind === 'refused') {
    expect(explained.reply).toEqual({ code: reply.code, text: reply.lines.join(' ') });
    return `${reply.code} ${reply.lines.join(' ')}`;
  }
  const rule = log.named('mail.protected').at(-1)?.rule ?? '';
  expect([explained.reply, explained.messages[0]?.rule]).toEqual([null, rule]);
  return rule;
}

const HEADER = [
  `From: ${ALICE}`,
  `To: ${BOB}`,
  'Subject: =?utf-8?Q?=5Bencrypt=5D?= Offer',
  'X-Class: Secret',
];
const PDF = mail([...HEADER, 'Content-Type: application/pdf; name=offer.pdf']);

describe('a mail is decided by what it is', () => {
  it.each<[Partial<PlainCondition>, boolean]>([
    [{ header: [{ name: 'x-class', test: { kind: 'equals', values: ['secret'] } }] }, true],
    [{ header: [{ name: 'x-class', test: { kind: 'equals', values: ['public'] } }] }, false],
    [{ subjectTag: ['encrypt'] }, true],
    [{ subjectTag: ['offer'] }, false],
    [{ size: { atLeast: PDF.length, below: null } }, true],
    [{ size: { atLeast: null, below: PDF.length } }, false],
    [{ attachmentType: ['application/*'] }, true],
    [{ attachmentExtension: ['doc'] }, false],
    [{ protection: ['none'] }, true],
    [{ listener: ['submission'] }, true],
    [{ listener: ['other'] }, false],
    [{ recipientGroup: ['friends'] }, true],
    [{ senderGroup: ['friends'] }, false],
    [{ loginGroup: ['friends'] }, true],
    [{ certificateKnown: 'pinned' }, true],
    [{ certificateKnown: 'no' }, false],
  ])('%j: %s', async (when, applies) => {
    directory.knows(bob);
    const rules = [
      rule({ name: 'it', when: { ...ALWAYS, ...when } }),
      rule({ name: 'rest', encrypt: 'never' }),
    ];
    expect(await decidedBy(rules, PDF)).toBe(applies ? 'it' : 'rest');
  });

  it('and not by a guess while the directory is away', async () => {
    directory.trouble = away('directory.unavailable');
    const when = { ...ALWAYS, certificateKnown: 'yes' as const };
    const rules = [rule({ name: 'it', when }), rule({ name: 'rest', sign: 'never', encrypt: 'never' })];
    expect(await decidedBy(rules, PDF)).toMatch(/^451 4\.4\.3 .*could not be looked up just now \(rule it\)/);
  });
});
