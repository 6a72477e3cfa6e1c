import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type HandedOver, handOverAll } from '../../src/pipeline/hand-over.ts';
import type { HandOver, HandOverOutcome, Variant, WholeOutcome } from '../../src/pipeline/ports.ts';
import { FakeDelivered, FakeLog, mail, recipient, submission, textOf } from './support/ports.ts';

/** An upstream that answers for each recipient (LMTP). */

const ALICE = 'alice@example.org';
const OCTETS = mail([`From: ${ALICE}`]);
type Word = 'ok' | 'later' | 'never' | 'lost';
const OUTCOMES: Readonly<Record<Word, WholeOutcome>> = {
  ok: { kind: 'accepted', reply: { code: 250, lines: ['2.0.0 stored'] } },
  later: { kind: 'rejected', reply: { code: 451, lines: ['4.2.0 busy'] } },
  never: { kind: 'rejected', reply: { code: 552, lines: ['5.2.2 full'] } },
  lost: { kind: 'unreachable', reason: 'it closed the connection' },
};

class Lmtp implements HandOver {
  readonly upstream = { tls: true, requireTls: false };
  readonly got: string[] = [];
  readonly offered: string[] = [];
  readonly #fate: ReadonlyMap<string, Word>;

  constructor(fate: Readonly<Record<string, Word>>) {
    this.#fate = new Map(Object.entries(fate));
  }

  async deliver({ recipients }: Variant): Promise<HandOverOutcome> {
    const outcomes = recipients.map((one) => {
      this.offered.push(textOf(one));
      const word = this.#fate.get(textOf(one)) ?? 'ok';
      if (word === 'ok') this.got.push(textOf(one));
      return { recipient: one, outcome: OUTCOMES[word] };
    });
    const [first] = outcomes;
    const alike = outcomes.every(({ outcome }) => outcome === first?.outcome);
    return alike && first !== undefined ? first.outcome : { kind: 'each', outcomes };
  }
}

async function send(
  upstream: Lmtp,
  groups: readonly (readonly string[])[],
  delivered = new FakeDelivered(),
): Promise<HandedOver> {
  const handedIn = submission(ALICE, groups.flat(), OCTETS);
  let next = 0;
  const variants = groups.map((group) => ({
    recipients: group.map(() => handedIn.envelope.recipients[next++] ?? recipient('nobody@example.org')),
    ...{ protection: { signed: true, encrypted: false }, rule: 'all', requireTls: false, appendTo: [] },
    make: async () => handedIn.octets,
  }));
  return await handOverAll(handedIn, { variants, waiting: [] }, upstream, { delivered, log: new FakeLog() });
}

/** What a client that takes a reply for each recipient hears. */
function told({ each, reply }: HandedOver, addresses: readonly string[]): Record<string, number> {
  const byAddress = new Map([...(each ?? [])].map(([one, said]) => [textOf(one), said]));
  return Object.fromEntries(addresses.map((one) => [one, (byAddress.get(one) ?? reply).code]));
}

const [BOB, CAROL, DAVE] = ['bob@example.org', 'carol@example.org', 'dave@example.org'];

test('one of two has it: the client hears who, and its retry brings only the other', async () => {
  const delivered = new FakeDelivered();
  const first = await send(new Lmtp({ [CAROL]: 'later' }), [[BOB, CAROL]], delivered);
  expect(first.kind).toBe('refused');
  expect(first.reply.code).toBe(451);
  expect(first.reply.lines[0]).toMatch(/^4\.2\.0 Sent to bob@example.org, but not to carol@example.org: /);
  expect(told(first, [BOB, CAROL])).toEqual({ [BOB]: 250, [CAROL]: 451 });
  const retry = new Lmtp({});
  expect((await send(retry, [[BOB, CAROL]], delivered)).kind).toBe('accepted');
  expect(retry.offered).toEqual([CAROL]);
});

test('somebody who is refused keeps nobody else from the mail, in other variants neither', async () => {
  const upstream = new Lmtp({ [BOB]: 'never' });
  const outcome = await send(upstream, [[BOB, CAROL], [DAVE]]);
  expect(upstream.got).toEqual([CAROL, DAVE]);
  expect(outcome.reply.code).toBe(554);
  expect(told(outcome, [BOB, CAROL, DAVE])).toEqual({ [BOB]: 552, [CAROL]: 250, [DAVE]: 250 });
});

test('what a retry may mend is said before what it cannot', async () => {
  const outcome = await send(new Lmtp({ [BOB]: 'never', [CAROL]: 'later' }), [[BOB, CAROL, DAVE]]);
  expect(outcome.reply.code).toBe(451);
  expect(told(outcome, [BOB, CAROL, DAVE])).toEqual({ [BOB]: 552, [CAROL]: 451, [DAVE]: 250 });
});

test('all refused, each otherwise: a reply of the server’s own', async () => {
  const outcome = await send(new Lmtp({ [BOB]: 'never', [CAROL]: 'later' }), [[BOB, CAROL]]);
  expect(outcome.reply).toEqual({ code: 451, lines: ['4.2.0 busy'] });
});

test('over any answers and retries nobody gets it twice, and 250 means everybody has it', async () => {
  const word = fc.constantFrom<Word>('ok', 'ok', 'later', 'never', 'lost');
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 6 }),
      fc.array(fc.array(word, { minLength: 6, maxLength: 6 }), { maxLength: 4 }),
      fc.array(fc.nat(2), { minLength: 6, maxLength: 6 }),
      async (count, attempts, grouping) => {
        const delivered = new FakeDelivered();
        const everybody = Array.from({ length: count }, (_, i) => `r${i}@example.org`);
        const groups = [0, 1, 2]
          .map((group) => everybody.filter((_, i) => grouping[i] === group))
          .filter((group) => group.length > 0);
        const got: string[] = [];
        for (const fates of [...attempts, []]) {
          const upstream = new Lmtp(Object.fromEntries(everybody.map((one, i) => [one, fates[i] ?? 'ok'])));
          const outcome = await send(upstream, groups, delivered);
          got.push(...upstream.got);
          expect(new Set(got).size).toBe(got.length);
          const replies = told(outcome, everybody);
          for (const one of everybody) {
            if (replies[one] === 250) expect(got).toContain(one);
            if (got.includes(one)) expect(replies[one]).toBe(250);
          }
          expect(outcome.kind === 'accepted').toBe(outcome.reply.code === 250);
          if (outcome.kind !== 'accepted') continue;
          expect([...got].sort()).toEqual(everybody);
          return;
        }
        throw new Error('the last attempt was accepted by everybody and is no 250');
      },
    ),
    { numRuns: 200 },
  );
});
