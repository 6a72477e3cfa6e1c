import { beforeEach, describe, expect, it } from 'vitest';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type { RecordedMail } from '../../src/policy/recorded-mail.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from '../policy/always.ts';
import { ALICE, BOB, deskOf } from './support/desk.ts';
import { away, mail, rule, submission } from './support/ports.ts';

const desk = deskOf({ alice: {}, bob: {} });
let kept: { mail: string; record: string }[];
let trouble: Error | null;
beforeEach(() => {
  desk.directory.knows(desk.person('bob'));
  kept = [];
  trouble = null;
});

async function send(rules: Rule[] | (() => readonly Rule[]), octets: Buffer) {
  const parts = {
    ...desk.parts([]),
    decisions: {
      record: async (id: string, record: string) => {
        if (trouble !== null) throw trouble;
        kept.push({ mail: id, record });
      },
    },
    get rules() {
      return typeof rules === 'function' ? rules() : rules;
    },
  };
  const sent = submission(ALICE, [BOB], octets);
  const { reply } = await outboundStory(parts).submit(sent, desk.upstream);
  return { sent, reply, upstream: desk.upstream };
}

const OFFER = mail([`From: ${ALICE}`, `To: ${BOB}`, 'Subject: [x] the takeover', 'X-Class: secret plan']);

describe('decisions are kept', () => {
  it('of what leaves, without what it says', async () => {
    const when = {
      ...ALWAYS,
      header: [{ name: 'x-class', test: { kind: 'contains' as const, values: ['plan'] } }],
    };
    const { sent } = await send([rule({ when })], OFFER);
    expect(kept.map((one) => one.mail)).toEqual([sent.id]);
    const record = JSON.parse(kept[0]?.record ?? '') as RecordedMail;
    expect(record.recipients).toMatchObject([
      {
        address: BOB,
        certificates: { kind: 'usable' },
        treatment: { kind: 'send', rule: 'all', encrypted: 'pinned' },
      },
    ]);
    expect(kept[0]?.record).not.toMatch(/takeover|secret|boathouse/);
  });

  it('of what is refused by a rule, and not of mail in somebody else’s name', async () => {
    await send([], OFFER);
    expect(kept[0]?.record).toContain('"kind":"refuse"');
    await send([rule()], mail(['From: boss@example.org']));
    expect(kept).toHaveLength(1);
  });

  it('and where they cannot be, the mail goes all the same', async () => {
    trouble = away('store.unavailable', 'The disk is full.');
    const { reply, upstream } = await send([rule()], OFFER);
    expect([reply.code, upstream.served]).toEqual([250, [BOB]]);
    expect(desk.log.named('policy.decision-not-recorded')).toMatchObject([
      { reason: expect.stringContaining('The disk is full.') },
    ]);
  });
});

it('one mail is decided by one set of rules, whatever comes meanwhile', async () => {
  let asked = 0;
  const strict = [rule({ name: 'strict', encrypt: 'require' })];
  const { upstream } = await send(
    () => (asked++ === 0 ? strict : [rule({ name: 'later', encrypt: 'never' })]),
    OFFER,
  );
  expect(upstream.taken[0]?.protection.encrypted).toBe(true);
  expect(desk.log.named('mail.protected').map((one) => one.rule)).toEqual(['strict']);
});
