import { beforeEach, describe, expect, it } from 'vitest';
import { explainedLines } from '../../src/pipeline/explained-lines.ts';
import type { Standing } from '../../src/pipeline/ports.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from '../policy/always.ts';
import { ALICE, BOB, CAROL, deskOf } from './support/desk.ts';
import type { Person } from './support/people.ts';
import { away, mail, rule, ruleFor, submission } from './support/ports.ts';

const desk = deskOf({ alice: {}, bob: {} });
let bob: Person;
let standing: Standing;
beforeEach(() => {
  bob = desk.person('bob');
  standing = { kind: 'good' };
});

const OCTETS = mail([`From: ${ALICE}`, `To: ${BOB}`, 'Subject: [x] Offer']);

function explain(rules: readonly Rule[], to: readonly string[] = [BOB], octets = OCTETS) {
  return desk.explain(submission(ALICE, to, octets), rules, {
    revocation: { failure: 'soft', standing: { of: async () => standing } },
  });
}

describe('an explanation', () => {
  it('has the documented shape', async () => {
    desk.directory.knows(bob, [], 'verified');
    standing = { kind: 'unchecked', why: 'Nobody answered.', mayPass: true };
    const rules = [
      rule({ name: 'first', when: { ...ALWAYS, login: ['somebody'] } }),
      ruleFor([BOB], {
        ...{ when: { ...ALWAYS, subjectTag: ['x'] }, subject: 'protect' },
        ...{ notify: ['it@example.org'], appendTo: 'sent' },
      }),
    ];
    const text = expect.any(String);
    expect(JSON.parse(JSON.stringify(await explain(rules)))).toEqual({
      ...{ from: ALICE, login: ALICE, listener: 'submission', protection: 'none' },
      recipients: [
        {
          address: BOB,
          rules: [
            {
              ...{ rule: 'first', applies: 'no' },
              conditions: [{ condition: 'login', holds: 'no', found: `the login is ${ALICE}` }],
            },
            {
              ...{ rule: `for ${BOB}`, applies: 'yes' },
              conditions: [{ condition: 'subjectTag', holds: 'yes', found: 'the Subject begins with [x]' }],
            },
          ],
          rule: `for ${BOB}`,
          steering: null,
          outcome: {
            ...{ kind: 'send', sign: 'clear', certificate: 0, subject: 'protect' },
            ...{ strip: null, algorithms: null, requireTls: false },
          },
          notify: ['it@example.org'],
          appendTo: 'sent',
          certificates: {
            summary: 'verified',
            known: [
              {
                ...{ fingerprint: bob.certificate.fingerprint, subject: text, issuer: text },
                notAfter: bob.certificate.notAfter.toISOString(),
                ...{ trust: 'verified', source: expect.any(String), because: 'it leads to a trust anchor' },
                ...{ sources: [], doubt: 'Nobody answered.' },
              },
            ],
          },
          reply: null,
        },
      ],
      messages: [
        {
          ...{ recipients: [BOB], rule: `for ${BOB}`, strip: null, requireTls: false },
          appendTo: ['sent'],
          signature: { form: 'clear', algorithm: 'ecdsa-sha256', because: text },
          encryption: {
            ...{ subject: 'protect', content: 'aes256-cbc', because: text, boundKey: false },
            keys: [
              { reader: BOB, algorithm: text, because: text },
              { reader: 'the sender', algorithm: text, because: text },
            ],
          },
        },
      ],
      waiting: [],
      reply: null,
    });
  });

  it('has the reply at RCPT TO, and the one at the end of data', async () => {
    desk.directory.knows(bob);
    const strict = ruleFor([CAROL], { encrypt: 'require', withoutCertificate: 'refuse-recipient' });
    const { recipients, messages, reply } = await explain([strict, rule()], [BOB, CAROL]);
    expect(recipients.map((one) => one.reply)).toEqual([
      null,
      { code: 550, text: expect.stringMatching(/^5\.7\.1 To carol@example\.org: .*no valid certificate/) },
    ]);
    expect(reply).toEqual({
      code: 550,
      text: expect.stringMatching(/^5\.7\.1 To carol@.*Nothing was sent to anybody\. .*\(mail \S+\)$/),
    });
    expect(messages).toEqual([]);
  });

  it('says who shares a message and who has one of his own', async () => {
    const people = [bob, await desk.town.person(CAROL), await desk.town.person('dave@example.org')];
    for (const one of people) desk.directory.knows(one);
    const octets = mail([`From: ${ALICE}`, `To: ${BOB}, ${CAROL}`]);
    const { messages } = await explain(
      [rule()],
      people.map(({ address }) => address),
      octets,
    );
    expect(messages.map(({ recipients }) => recipients)).toEqual([[BOB, CAROL], ['dave@example.org']]);
  });

  it('says what waits, under which terms, and the gateway’s own reply', async () => {
    const hold = ruleFor([CAROL], { encrypt: 'require', withoutCertificate: 'hold', stripTag: true });
    const ask = rule({ encrypt: 'require', withoutCertificate: 'ask', introduce: true, minTrust: 'pinned' });
    const explained = await explain(
      [{ ...hold, when: { ...hold.when, subjectTag: ['x'] } }, ask],
      [BOB, CAROL],
    );
    const text = expect.any(String);
    const signature = { form: 'clear', algorithm: 'ecdsa-sha256', because: text };
    expect(JSON.parse(JSON.stringify({ ...explained, recipients: [] }))).toEqual({
      ...{ from: ALICE, login: ALICE, listener: 'submission', protection: 'none', recipients: [] },
      messages: [],
      waiting: [
        {
          recipients: [BOB],
          terms: {
            ...{ rule: 'all', ask: true, minTrust: 'pinned', revocation: 'soft', algorithms: null },
            ...{ subject: 'keep', requireTls: 'no', appendTo: null },
          },
          ...{ strip: null, signature, readable: true, introduce: true },
        },
        {
          recipients: [CAROL],
          terms: expect.objectContaining({ rule: hold.name, ask: false, minTrust: 'harvested' }),
          ...{ strip: { tags: ['x'], field: null }, signature, readable: false, introduce: false },
        },
      ],
      reply: {
        code: 250,
        text: expect.stringMatching(
          /^2\.0\.0 Kept until it can be encrypted to bob@example\.org, carol@example\.org\. You are asked by mail what to do\. \(mail \S+\)$/,
        ),
      },
    });
    expect(explained.recipients[0]?.outcome).toMatchObject({
      ...{ kind: 'hold', because: 'no valid certificate is known' },
    });
    const lines = explainedLines(explained).join('\n');
    expect(lines).toContain('Kept for bob@example.org, until it can be encrypted');
    expect(lines).toContain('its author would be asked: send it signed only, wait, discard it');
    desk.directory.knows(bob);
    expect(await explain([hold, ask], [BOB, CAROL])).toMatchObject({
      ...{ messages: [{ recipients: [BOB] }], waiting: [{ recipients: [CAROL] }], reply: null },
    });
    expect(desk.keyring.signatures).toBe(0);
  });

  it('uses no key, and hands nothing over', async () => {
    desk.directory.knows(bob);
    await explain([rule()]);
    expect(desk.keyring.signatures).toBe(0);
  });

  it.each<[string, Buffer, number, RegExp]>([
    ['a mail in somebody else’s name', mail(['From: boss@example.org']), 550, /may not send as boss@/],
    ['a mail without From', mail(['Subject: x']), 550, /one From field/],
    [
      'a mail that only claims to be encrypted',
      mail([`From: ${ALICE}`, 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data']),
      554,
      /but its content is not/,
    ],
  ])('of %s is the refusal', async (_, octets, code, text) => {
    const explained = await explain([rule()], [BOB], octets);
    expect(explained.reply).toEqual({ code, text: expect.stringMatching(text) });
    expect(explained.recipients).toMatchObject([{ address: BOB, rules: [], outcome: null }]);
    expect(explainedLines(explained).join('\n')).toMatch(text);
  });

  it('of an outage is the refusal for now', async () => {
    desk.directory.trouble = away('desk.directory.unavailable');
    const explained = await explain([rule()]);
    expect(explained.reply).toMatchObject({ code: 451 });
    expect(explained.recipients[0]?.certificates.summary).toBe('could not be looked up');
  });

  it('has no control characters, whatever the mail says', async () => {
    const octets = mail([`From: ${ALICE}`, 'X-Class: =?utf-8?Q?=1B[2J=0A?=', 'Subject: [x] =?utf-8?Q?=1B?=']);
    const when = { ...ALWAYS, header: [{ name: 'x-class', test: { kind: 'present' as const } }] };
    for (const line of explainedLines(await explain([rule({ when })], ['"a\u001bb"@x.example'], octets))) {
      expect(line).not.toMatch(/\p{Cc}/u);
    }
  });
});
