import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideForRecipients } from '../../src/policy/decide-for-recipient.ts';
import type { OutboundFacts } from '../../src/policy/facts.ts';
import { groupsOfAddress, groupsOfLogin } from '../../src/policy/groups.ts';
import { mayEncrypt } from '../../src/policy/may-encrypt.ts';
import { type RecordedMail, recordMail, treatmentOf } from '../../src/policy/recorded-mail.ts';
import { isDifferent, replayMail } from '../../src/policy/replay.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from './always.ts';
import { anyFacts, anyRules, groups } from './arbitrary.ts';
import { facts, MESSAGE, recipient, rule } from './facts.ts';

/** As it is written and read again. */
function recorded(given: OutboundFacts & { from: string }, rules: readonly Rule[]): RecordedMail {
  const decisions = decideForRecipients(given, rules);
  const lookedFor = (address: string) =>
    mayEncrypt(given, { address, groups: groupsOfAddress(groups, address) }, rules);
  return JSON.parse(JSON.stringify(recordMail(given, rules, decisions, lookedFor)));
}

const mailsAndRules = anyFacts.map((given) => ({
  ...given,
  from: given.from ?? 'alice@example.org',
  loginGroups: groupsOfLogin(groups, given.principal.login),
  fromGroups: groupsOfAddress(groups, given.from ?? 'alice@example.org'),
  recipients: given.recipients.map((one) => ({ ...one, groups: groupsOfAddress(groups, one.address) })),
}));

describe('a replay', () => {
  test('by the same rules finds no difference, and knows all', () => {
    fc.assert(
      fc.property(mailsAndRules, anyRules, (given, rules) => {
        const replayed = replayMail(recorded(given, rules), rules, groups);
        expect(replayed).toHaveLength(given.recipients.length);
        expect(replayed.filter(isDifferent)).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });

  test('by other rules says what they would have done, or that nobody knows', () => {
    let known = 0;
    fc.assert(
      fc.property(mailsAndRules, anyRules, anyRules, (given, then, now) => {
        const wanted = decideForRecipients(given, now).map((one, index) =>
          treatmentOf(one, given.recipients[index]?.certificates ?? { kind: 'none' }),
        );
        for (const [index, replayed] of replayMail(recorded(given, then), now, groups).entries()) {
          if (replayed.now.kind === 'unknown') continue;
          known++;
          expect(replayed.now).toEqual(wanted[index]);
        }
      }),
      { numRuns: 1_000 },
    );
    expect(known).toBeGreaterThan(500);
  });

  const message = {
    ...MESSAGE,
    octets: 2_000,
    header: { kind: 'values' as const, of: new Map([['x-class', ['top secret']]]) },
    tags: { found: ['project-7', 'encrypt'], looked: null },
    attachments: null,
  };
  const given = {
    ...facts({ message, recipients: [recipient('bob@partner.example', 'verified')] }),
    from: 'alice@example.org',
  };
  const secret = { name: 'x-class', test: { kind: 'equals' as const, values: ['Top Secret'] } };

  test.each<[string, Partial<Rule>, boolean]>([
    ['the same', {}, false],
    ['another name', { name: 'other' }, false],
    ['ask', { withoutCertificate: 'ask' }, true],
    ['an introduction', { introduce: true }, true],
    ['another trust', { minTrust: 'pinned' }, true],
    ['a hidden Subject', { subject: 'protect' }, true],
    ['an archive', { appendTo: 'sent' }, true],
    ['a refusal', { withoutCertificate: 'refuse-all' }, true],
    ['somebody who is told', { notify: ['it@example.org'] }, false],
  ])('of mail that waits: %s', (_, changes, different) => {
    const waiting = { ...given, recipients: [recipient('dave@nowhere.example')] };
    const then = rule({ withoutCertificate: 'hold' });
    const [replayed] = replayMail(recorded(waiting, [then]), [{ ...then, ...changes }], groups);
    if (replayed === undefined) throw new Error('nobody');
    expect(replayed.was).toMatchObject({ kind: 'hold', rule: 'rule', ask: false, minTrust: 'verified' });
    expect(isDifferent(replayed)).toBe(different);
  });

  test('keeps outcomes, and neither values nor tags nor attachments that no rule asked for', () => {
    const rules = [rule({ when: { ...ALWAYS, header: [secret], subjectTag: ['encrypt'] } })];
    const kept = JSON.stringify(recorded(given, rules));
    expect(kept).not.toContain('project-7');
    expect(JSON.parse(kept)).toMatchObject({
      header: { '["x-class","equals","top secret"]': true },
      tags: { found: ['encrypt'], looked: ['encrypt'] },
      attachments: null,
    });
    expect(JSON.stringify(recorded(given, [rule({})]))).not.toMatch(/secret|encrypt"/);
  });

  test.each<[string, Partial<Rule>, string]>([
    ['the same condition', { when: { ...ALWAYS, header: [secret] } }, 'send'],
    [
      'another value',
      { when: { ...ALWAYS, header: [{ ...secret, test: { kind: 'equals', values: ['x'] } }] } },
      'unknown',
    ],
    ['another field', { when: { ...ALWAYS, header: [{ name: 'x', test: { kind: 'present' } }] } }, 'unknown'],
    ['a tag that was looked for', { when: { ...ALWAYS, subjectTag: ['encrypt'] } }, 'send'],
    ['one that was not', { when: { ...ALWAYS, subjectTag: ['sign'] } }, 'unknown'],
    ['attachments', { when: { ...ALWAYS, attachmentType: ['a/b'] } }, 'unknown'],
    ['size', { when: { ...ALWAYS, size: { atLeast: 2_000, below: null } } }, 'send'],
    ['steering', { steering: { tags: true, header: null, mayLower: false } }, 'unknown'],
    ['encryption, where certificates were not looked for', { encrypt: 'if-possible' }, 'unknown'],
  ])('%s', (_, changes, kind) => {
    const then = [
      rule({ when: { ...ALWAYS, header: [secret], subjectTag: ['encrypt'] }, encrypt: 'never' }),
      rule({ encrypt: 'never' }),
    ];
    const now = [rule({ encrypt: 'never', ...changes }), rule({ encrypt: 'never', name: 'rest' })];
    const [replayed] = replayMail(recorded(given, then), now, []);
    expect(replayed?.now.kind).toBe(kind);
    if (replayed !== undefined) expect(isDifferent(replayed)).toBe(kind === 'unknown');
  });
});

test('a replay does not guess who was in a group that a directory knows', () => {
  const given = {
    ...facts({ recipients: [recipient('b@c.example', 'verified')] }),
    from: 'alice@example.org',
  };
  const known = { name: 'board', addresses: [], domains: [], logins: [], ldap: null };
  const elsewhere = { ...known, ldap: { source: 'people', addresses: '(mail={address})', logins: null } };
  const mail = recorded(given, [rule({ name: 'then' })]);
  const asks = [rule({ name: 'it', when: { ...ALWAYS, recipientGroup: ['board'] } }), rule({ name: 'rest' })];
  expect(replayMail(mail, asks, [elsewhere])).toMatchObject([{ now: { kind: 'unknown', rule: 'it' } }]);
  expect(replayMail(mail, asks, [known])[0]?.now).not.toMatchObject({ kind: 'unknown' });
  // It has no logins: that is known.
  const ofLogins = [rule({ name: 'it', when: { ...ALWAYS, loginGroup: ['board'] } }), rule({ name: 'rest' })];
  expect(replayMail(mail, ofLogins, [elsewhere])).toMatchObject([{ now: { kind: 'send', rule: 'rest' } }]);
});
