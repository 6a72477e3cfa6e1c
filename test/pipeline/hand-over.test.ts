import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { handOverAll } from '../../src/pipeline/hand-over.ts';
import type { HandOverOutcome, Submission, SubmissionOutcome } from '../../src/pipeline/ports.ts';
import type { PreparedVariant } from '../../src/pipeline/protect.ts';
import {
  ACCEPTED,
  away,
  FakeDelivered,
  FakeLog,
  FakeUpstream,
  LOST,
  mail,
  PERMANENT,
  recipient,
  submission,
  TEMPORARY,
  textOf,
} from './support/ports.ts';

const ALICE = 'alice@example.org';
const [BOB, CAROL, DAVE] = ['bob@example.org', 'carol@example.org', 'dave@example.org'];
const OCTETS = mail([`From: ${ALICE}`]);

let delivered: FakeDelivered;
let log: FakeLog;
beforeEach(() => {
  delivered = new FakeDelivered();
  log = new FakeLog();
});

/** Each group is a variant; the first ones are the larger ones, so they go in this order. */
function send(
  upstream: FakeUpstream,
  groups: readonly (readonly string[])[],
  changes: Partial<Submission> = {},
  make?: (group: number) => Promise<Buffer>,
): Promise<SubmissionOutcome> {
  const handedIn = { ...submission(ALICE, groups.flat(), OCTETS), ...changes };
  let next = 0;
  const variants = groups.map((group, index): PreparedVariant => {
    const recipients = group.map(
      () => handedIn.envelope.recipients[next++] ?? recipient('nobody@example.org'),
    );
    const protection = { signed: true, encrypted: index === 0 && groups.length > 1 };
    return {
      recipients,
      protection,
      rule: 'all',
      requireTls: false,
      appendTo: [],
      make: async () => (make === undefined ? handedIn.octets : bufferSource(await make(index))),
    };
  });
  return handOverAll(handedIn, { variants, waiting: [] }, upstream, { delivered, log });
}

describe('one variant', () => {
  it.each([ACCEPTED, TEMPORARY, PERMANENT])(
    'the upstream’s own reply goes to the client as it is: %j',
    async (told) => {
      if (told.kind === 'unreachable' || told.kind === 'each') throw new Error('no reply');
      const outcome = await send(new FakeUpstream(told), [[BOB, CAROL]]);
      expect(outcome.reply).toBe(told.reply);
      expect(outcome.kind).toBe(told.kind === 'accepted' ? 'accepted' : 'refused');
      expect(delivered.keys.size).toBe(0);
    },
  );

  it('a lost connection is a 451 that does not say that nothing was sent', async () => {
    const { kind, reply } = await send(new FakeUpstream(LOST), [[BOB]]);
    expect(kind).toBe('refused');
    expect(reply.code).toBe(451);
    expect(reply.lines[0]).toMatch(/^4\.4\.2 Not confirmed: .*Please send again\. \(mail \w+\)$/);
  });

  it('with one recipient asks nobody whether it was delivered before', async () => {
    delivered.trouble.has = away('store.unavailable');
    expect((await send(new FakeUpstream(), [[BOB]])).kind).toBe('accepted');
  });

  it('an exception of the hand-over counts as a lost connection and leaves a trace in the log', async () => {
    const { reply } = await send(new FakeUpstream(new TypeError('oops')), [[BOB]]);
    expect(reply.code).toBe(451);
    expect(log.named('gateway.defect')[0]?.error).toContain('oops');
  });
});

describe('several variants', () => {
  it('all accepted: the last reply of the upstream, and nothing stays remembered', async () => {
    const last: HandOverOutcome = { kind: 'accepted', reply: { code: 250, lines: ['2.6.0 last'] } };
    const upstream = new FakeUpstream(ACCEPTED, last);
    const outcome = await send(upstream, [[BOB], [CAROL]]);
    expect(outcome).toMatchObject({ kind: 'accepted', reply: last.reply });
    expect(upstream.served).toEqual([BOB, CAROL]);
    expect(delivered.keys.size).toBe(0);
    expect(log.named('mail.handed-over')).toHaveLength(2);
  });

  it.each([TEMPORARY, PERMANENT])(
    'the first one rejected: the upstream’s reply as it is, and the others are not tried',
    async (told) => {
      const upstream = new FakeUpstream(told);
      const outcome = await send(upstream, [[BOB], [CAROL]]);
      expect(told.kind === 'rejected' && outcome.reply === told.reply).toBe(true);
      expect(upstream.offered).toHaveLength(1);
      expect(upstream.served).toEqual([]);
    },
  );

  it('the second rejected for now: 451 that says who has it, who has not, why, and that a retry is safe', async () => {
    const { kind, reply } = await send(new FakeUpstream(ACCEPTED, TEMPORARY), [[BOB], [CAROL, DAVE]]);
    expect(kind).toBe('refused');
    expect(reply.code).toBe(451);
    expect(reply.lines).toHaveLength(1);
    expect(reply.lines[0]).toMatch(
      /^4\.2\.0 Sent to bob@example\.org, but not to carol@example\.org, dave@example\.org: the mail server said 450 4\.2\.0 greylisted\. Send again: only the missing ones will get it\. \(mail \w+\)$/,
    );
    expect(log.named('mail.refused')).toMatchObject([{ code: 'upstream.rejected' }]);
  });

  it('the second rejected for good: 554 with the same facts', async () => {
    const { reply } = await send(new FakeUpstream(ACCEPTED, PERMANENT), [[BOB], [CAROL]]);
    expect(reply.code).toBe(554);
    expect(reply.lines[0]).toMatch(
      /^5\.7\.1 Sent to bob@example\.org, but not to carol@example\.org: the mail server said 554 5\.7\.1 not here\. Only these are missing\./,
    );
  });

  it('the second lost: 451 that does not claim that it has not arrived', async () => {
    const { reply } = await send(new FakeUpstream(ACCEPTED, LOST), [[BOB], [CAROL]]);
    expect(reply.code).toBe(451);
    expect(reply.lines[0]).toMatch(
      /^4\.4\.2 Sent to bob@example\.org, but not confirmed for carol@example\.org: /,
    );
  });

  it('a 421 in the middle becomes a 451: the client must not think of it as the end of its session', async () => {
    const closing: HandOverOutcome = { kind: 'rejected', reply: { code: 421, lines: ['closing'] } };
    const { reply } = await send(new FakeUpstream(ACCEPTED, closing), [[BOB], [CAROL]]);
    expect(reply.code).toBe(451);
    expect(reply.lines[0]).toMatch(/^4\.3\.0 /);
  });

  it('encrypted ones go first, then those with more recipients: what may be too large is refused before anybody has it', async () => {
    const upstream = new FakeUpstream();
    const protection = (encrypted: boolean) => ({ signed: true, encrypted });
    const make = async () => bufferSource(OCTETS);
    const handedIn = submission(ALICE, [BOB, CAROL, DAVE, ALICE], OCTETS);
    const [bob, carol, dave, alice] = handedIn.envelope.recipients;
    if (bob === undefined || carol === undefined || dave === undefined || alice === undefined)
      throw new Error();
    const of = (recipients: PreparedVariant['recipients'], encrypted: boolean): PreparedVariant => ({
      ...{
        recipients,
        protection: protection(encrypted),
        rule: 'all',
        requireTls: false,
        appendTo: [],
        make,
      },
    });
    const variants = [of([bob], false), of([carol], true), of([dave, alice], true)];
    await handOverAll(handedIn, { variants, waiting: [] }, upstream, { delivered, log });
    expect(upstream.offered.map(({ recipients }) => recipients.map(textOf))).toEqual([
      [DAVE, ALICE],
      [CAROL],
      [BOB],
    ]);
  });
});

describe('the client’s retry after a part has gone', () => {
  it('with the same octets delivers only the rest; then everybody has it and it is forgotten', async () => {
    await send(new FakeUpstream(ACCEPTED, TEMPORARY), [[BOB], [CAROL]]);
    const second = new FakeUpstream();
    expect((await send(second, [[BOB], [CAROL]])).kind).toBe('accepted');
    expect(second.served).toEqual([CAROL]);
    expect(delivered.keys.size).toBe(0);
  });

  it('delivers only the rest when the decision has changed and they share a message now', async () => {
    await send(new FakeUpstream(ACCEPTED, LOST), [[BOB], [CAROL, DAVE]]);
    const second = new FakeUpstream();
    await send(second, [[DAVE, BOB, CAROL]]);
    expect(second.served).toEqual([CAROL, DAVE]);
  });

  it('that fails again still says who has it from before', async () => {
    await send(new FakeUpstream(ACCEPTED, TEMPORARY), [[BOB], [CAROL]]);
    const { reply } = await send(new FakeUpstream(PERMANENT), [[BOB], [CAROL]]);
    expect(reply.code).toBe(554);
    expect(reply.lines[0]).toContain('Sent to bob@example.org, but not to carol@example.org');
  });

  it('to those who have it already is a 250 of ours with the mail id, and nothing is sent', async () => {
    await send(new FakeUpstream(ACCEPTED, ACCEPTED, TEMPORARY), [[BOB], [CAROL], [DAVE]]);
    const second = new FakeUpstream();
    const { kind, reply } = await send(second, [[BOB, CAROL]]);
    expect(kind).toBe('accepted');
    expect(reply.lines[0]).toMatch(/^2\.0\.0 Every recipient already has this message \(mail \w+\)$/);
    expect(second.offered).toEqual([]);
  });

  it('finds a recipient whose domain is written in other letters', async () => {
    await send(new FakeUpstream(ACCEPTED, TEMPORARY), [[BOB], [CAROL]]);
    const second = new FakeUpstream();
    await send(second, [['bob@EXAMPLE.org'], [CAROL]]);
    expect(second.served).toEqual([CAROL]);
  });

  it.each([
    ['changed octets', { octets: bufferSource(mail([`From: ${ALICE}`], 'other words\r\n')) }],
    ['the same octets from another login', { origin: submission('mallory@example.org', [], OCTETS).origin }],
    [
      'octets that begin with what the login lacks',
      {
        origin: submission('alice@example', [], OCTETS).origin,
        octets: bufferSource(Buffer.from(`.org${OCTETS}`)),
      },
    ],
  ])('is never taken for one: %s', async (_, changes) => {
    await send(new FakeUpstream(ACCEPTED, TEMPORARY), [[BOB], [CAROL]]);
    const second = new FakeUpstream();
    await send(second, [[BOB], [CAROL]], changes);
    expect(second.served).toEqual([BOB, CAROL]);
  });

  it('the same octets again after everybody got them are a new mail: nothing is swallowed', async () => {
    await send(new FakeUpstream(), [[BOB], [CAROL]]);
    const second = new FakeUpstream();
    await send(second, [[BOB], [CAROL]]);
    expect(second.served).toEqual([BOB, CAROL]);
  });

  it('as long as it cannot be known who has it, nobody gets anything', async () => {
    delivered.trouble.has = away('store.unavailable');
    const upstream = new FakeUpstream();
    await expect(send(upstream, [[BOB], [CAROL]])).rejects.toThrow('token');
    expect(upstream.offered).toEqual([]);
  });
});

describe('a server’s retry after a part has gone', () => {
  it('for each recipient alone brings nobody a second copy', async () => {
    const arrival = { hostname: 'gateway.test', helo: 'mail.inside.test', protocol: 'ESMTP' };
    const from = { origin: { ...submission(ALICE, [BOB], OCTETS).origin, arrival } };
    const { reply } = await send(new FakeUpstream(ACCEPTED, TEMPORARY), [[BOB], [CAROL]], from);
    expect(reply.code).toBe(451);
    const again = new FakeUpstream();
    for (const one of [BOB, CAROL]) {
      expect((await send(again, [[one]], from)).kind).toBe('accepted');
    }
    expect(again.served).toEqual([CAROL]);
  });
});

describe('when what was delivered cannot be written down', () => {
  it('the rest is delivered all the same', async () => {
    delivered.trouble.record = away('store.unavailable');
    const upstream = new FakeUpstream();
    expect((await send(upstream, [[BOB], [CAROL]])).kind).toBe('accepted');
    expect(upstream.served).toEqual([BOB, CAROL]);
    expect(log.named('mail.delivery-not-noted')).toHaveLength(1);
  });

  it('a part that fails for now is a 554 with the facts: a client that tried again by itself would send twice', async () => {
    delivered.trouble.record = away('store.unavailable');
    const { reply } = await send(new FakeUpstream(ACCEPTED, TEMPORARY), [[BOB], [CAROL]]);
    expect(reply.code).toBe(554);
    expect(reply.lines[0]).toMatch(
      /^5\.3\.0 Sent to bob@example\.org, but not to carol@example\.org: .*Send it again to the missing ones only\./,
    );
  });

  it('and a memory that cannot be cleared changes nothing in the answer', async () => {
    delivered.trouble.forget = away('store.unavailable');
    expect((await send(new FakeUpstream(), [[BOB], [CAROL]])).kind).toBe('accepted');
    expect(log.named('mail.delivery-not-noted')).toHaveLength(1);
  });
});

describe('when the message of a later variant cannot be made', () => {
  const fails = async (group: number) => {
    if (group === 1) throw new RangeError('out of memory');
    return OCTETS;
  };

  it('the client learns who has it', async () => {
    const { reply } = await send(new FakeUpstream(), [[BOB], [CAROL]], {}, fails);
    expect(reply.code).toBe(451);
    expect(reply.lines[0]).toMatch(/^4\.3\.0 Sent to bob@example\.org, but not to carol@example\.org: /);
    expect(reply.lines[0]).not.toContain('memory');
    expect(log.named('gateway.defect')[0]?.error).toContain('out of memory');
  });

  it('and its retry brings the rest', async () => {
    await send(new FakeUpstream(), [[BOB], [CAROL]], {}, fails);
    const second = new FakeUpstream();
    await send(second, [[BOB], [CAROL]]);
    expect(second.served).toEqual([CAROL]);
  });

  it('the first one: it is thrown, and nothing was handed over', async () => {
    const upstream = new FakeUpstream();
    const attempt = send(upstream, [[BOB], [CAROL]], {}, async () => {
      throw new RangeError('out of memory');
    });
    await expect(attempt).rejects.toThrow(RangeError);
    expect(upstream.offered).toEqual([]);
  });
});

describe('the reply after a partial hand-over', () => {
  it('stays one line with its advice and id, however long and strange names and upstream reply are', async () => {
    const address = fc
      .tuple(fc.string({ minLength: 1, maxLength: 300, unit: 'binary' }), fc.domain())
      .map(([local, domain]) => `${local}@${domain}`);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(address, { minLength: 1, maxLength: 20 }),
        fc.uniqueArray(address, { minLength: 1, maxLength: 20 }),
        fc.array(fc.string({ unit: 'binary', maxLength: 300 }), { minLength: 1, maxLength: 5 }),
        fc.constantFrom(450, 554),
        async (have, missing, lines, code) => {
          delivered = new FakeDelivered();
          const upstream = new FakeUpstream(ACCEPTED, { kind: 'rejected', reply: { code, lines } });
          const { reply } = await send(upstream, [have, missing.filter((one) => !have.includes(one))]);
          const [line = '', more] = reply.lines;
          expect(more).toBeUndefined();
          expect(line).toMatch(
            /^[45]\.\d+\.\d+ Sent to [\x20-\x7e]+, but not to [\x20-\x7e]+\. \(mail \w+\)$/,
          );
          expect(line.length).toBeLessThan(490);
          expect(line).toContain(
            code === 450 ? 'Send again: only the missing ones' : 'Only these are missing',
          );
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('over any sequence of outcomes and retries', () => {
  it('nobody gets the mail twice, nobody is covered by a 250 without it, and every delivery has each recipient once', async () => {
    const outcome = fc.constantFrom<HandOverOutcome | Error>(
      ACCEPTED,
      ACCEPTED,
      TEMPORARY,
      PERMANENT,
      LOST,
      new Error('x'),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 7 }),
        // What the upstream says, attempt by attempt; then it accepts.
        fc.array(fc.array(outcome, { maxLength: 7 }), { maxLength: 6 }),
        // How recipients are put into variants, attempt by attempt: certificates come and go.
        fc.infiniteStream(fc.array(fc.nat(3), { minLength: 7, maxLength: 7 })),
        async (count, attempts, groupings) => {
          delivered = new FakeDelivered();
          const everybody = Array.from({ length: count }, (_, index) => `r${index}@example.org`);
          const got: string[] = [];
          for (const outcomes of [...attempts, []]) {
            const grouping = groupings.next().value ?? [];
            const groups = [0, 1, 2, 3]
              .map((group) => everybody.filter((_, index) => grouping[index] === group))
              .filter((group) => group.length > 0);
            const upstream = new FakeUpstream(...outcomes);
            const answer = await send(upstream, groups);
            const offered = upstream.offered.flatMap(({ recipients }) => recipients.map(textOf));
            expect(new Set(offered).size).toBe(offered.length);
            got.push(...upstream.served);
            expect(new Set(got).size).toBe(got.length);
            expect(answer.kind === 'accepted').toBe(answer.reply.code === 250);
            if (answer.kind === 'accepted') {
              expect([...got].sort()).toEqual(everybody);
              return;
            }
            const text = answer.reply.lines.join(' ');
            if (got.length > 0) expect(text).toMatch(/Sent to r\d@/);
          }
          throw new Error('the last attempt was accepted by everybody and is no 250');
        },
      ),
      { numRuns: 300 },
    );
  });
});
