import { describe, expect, it } from 'vitest';
import type { Memberships } from '../../src/pipeline/ports.ts';
import type { Group, PlainCondition, Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from '../policy/always.ts';
import { ALICE, BOB, deskOf } from './support/desk.ts';
import { away, mail, rule } from './support/ports.ts';

const desk = deskOf({ alice: {}, bob: {} });

/** Which rule decided, by what left and by what explain says. */
async function decidedBy(rules: readonly Rule[], octets: Buffer): Promise<string> {
  const groups = [{ name: 'friends', addresses: ['b*@example.org'], domains: [], logins: [ALICE] }];
  const { kind, reply, text, explained } = await desk.send(rules, octets, { groups });
  if (kind === 'refused') return `${reply.code} ${text}`;
  const rule = desk.log.named('mail.protected').at(-1)?.rule ?? '';
  expect(explained.messages[0]?.rule).toBe(rule);
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
    desk.directory.knows(desk.person('bob'));
    const rules = [
      rule({ name: 'it', when: { ...ALWAYS, ...when } }),
      rule({ name: 'rest', encrypt: 'never' }),
    ];
    expect(await decidedBy(rules, PDF)).toBe(applies ? 'it' : 'rest');
  });

  it('and not by a guess while the directory is away', async () => {
    desk.directory.trouble = away('directory.unavailable');
    const when = { ...ALWAYS, certificateKnown: 'yes' as const };
    const rules = [rule({ name: 'it', when }), rule({ name: 'rest', sign: 'never', encrypt: 'never' })];
    expect(await decidedBy(rules, PDF)).toMatch(/^451 4\.4\.3 .*could not be looked up just now \(rule it\)/);
  });
});

describe('a group that a directory knows', () => {
  const asked: string[] = [];
  const answering = (answers: Readonly<Record<string, boolean | null>>): Memberships => ({
    known: () => null,
    ask: async ({ source }, { kind, text }) => {
      asked.push(`${source} ${kind} ${text}`);
      return text in answers ? (answers[text] ?? null) : false;
    },
  });
  const filters = { addresses: '(mail={address})', logins: '(uid={login})' };
  const groups: readonly Group[] = [
    { name: 'board', addresses: [BOB], domains: [], logins: [], ldap: { source: 'people', ...filters } },
    { name: 'other', addresses: [], domains: [], logins: [], ldap: { source: 'others', ...filters } },
  ];
  async function decided(
    when: Partial<PlainCondition>,
    answers: Readonly<Record<string, boolean | null>> | null,
  ) {
    desk.directory.knows(desk.person('bob'));
    asked.length = 0;
    const memberships = answers === null ? null : answering(answers);
    const rules = [
      rule({ name: 'it', when: { ...ALWAYS, ...when } }),
      rule({ name: 'rest', sign: 'never', encrypt: 'never' }),
    ];
    const { kind, text } = await desk.send(rules, PDF, { groups, memberships });
    return kind === 'refused' ? text : desk.log.named('mail.protected').at(-1)?.rule;
  }

  it.each<[Partial<PlainCondition>, Readonly<Record<string, boolean | null>>, string | RegExp]>([
    [{ recipientGroup: ['other'] }, { [BOB]: true }, 'it'],
    [{ recipientGroup: ['other'] }, { [BOB]: false }, 'rest'],
    [{ recipientGroup: ['other'] }, { [BOB]: null }, /^4\.3\.0 .*rule it/],
    [{ senderGroup: ['board'] }, { [ALICE]: true }, 'it'],
    [{ senderGroup: ['board'] }, { [ALICE]: null }, /^4\.3\.0 /],
    [{ loginGroup: ['board'] }, { [ALICE]: true }, 'it'],
    [{ loginGroup: ['board'] }, { [ALICE]: null }, /^4\.3\.0 /],
  ])('decides by what is said: %j, %j', async (when, answers, expected) => {
    const said = await decided(when, answers);
    if (typeof expected === 'string') expect(said).toBe(expected);
    else expect(said).toMatch(expected);
  });

  it('is not asked for whom the configuration names, nor where no rule looks at it', async () => {
    expect(await decided({ recipientGroup: ['board'] }, {})).toBe('it');
    expect(asked).toEqual([]);
    expect(await decided({ recipientGroup: ['other'] }, { [ALICE]: null })).toBe('rest');
    expect(new Set(asked)).toEqual(new Set([`others address ${BOB}`]));
    expect(await decided({ login: ['nobody'] }, { [BOB]: null, [ALICE]: null })).toBe('rest');
    expect(asked).toEqual([]);
  });

  it('counts as it was said, though somebody hears otherwise meanwhile', async () => {
    desk.directory.knows(desk.person('bob'));
    const memberships: Memberships = { known: () => false, ask: async () => true };
    const rules = [
      rule({ name: 'it', when: { ...ALWAYS, recipientGroup: ['other'] }, encrypt: 'if-possible' }),
      rule({ name: 'rest', sign: 'never', encrypt: 'never' }),
    ];
    await desk.send(rules, PDF, { groups, memberships });
    expect(desk.log.named('mail.protected').at(-1)).toMatchObject({ rule: 'it', encrypted: true });
  });

  it('is nobody knows whose, where nobody can be asked', async () => {
    expect(await decided({ recipientGroup: ['other'] }, null)).toMatch(/^4\.3\.0 /);
  });
});
