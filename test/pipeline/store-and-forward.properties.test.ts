import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { type HandedOver, handOverAll } from '../../src/pipeline/hand-over.ts';
import type { HandOver, HandOverOutcome, Keeping, StoreAndForward } from '../../src/pipeline/ports.ts';
import type { PreparedVariant } from '../../src/pipeline/protect.ts';
import type { Recipient } from '../../src/smtp/envelope.ts';
import {
  ACCEPTED,
  away,
  FakeDelivered,
  FakeLog,
  LOST,
  mail,
  PERMANENT,
  submission,
  TEMPORARY,
} from './support/ports.ts';

const ALICE = 'alice@example.org';
const OCTETS = mail([`From: ${ALICE}`]);

type Fault = 'none' | 'add' | 'commit';

/** A queue that keeps nothing before it is committed, and fails where it is told to. */
class FakeQueue implements StoreAndForward {
  readonly kept: Recipient[] = [];
  readonly reported: Recipient[] = [];
  readonly #fault: Fault;

  constructor(fault: Fault = 'none') {
    this.#fault = fault;
  }

  begin(): Keeping {
    const [kept, reported]: [Recipient[], Recipient[]] = [[], []];
    const put = async (where: Recipient[], recipients: readonly Recipient[]) => {
      if (this.#fault === 'add') throw away('queue.full');
      where.push(...recipients);
    };
    return {
      add: ({ recipients }) => put(kept, recipients),
      fail: ({ recipients }) => put(reported, recipients),
      commit: async () => {
        if (this.#fault === 'commit') throw away('store.unavailable');
        this.kept.push(...kept.splice(0));
        this.reported.push(...reported.splice(0));
      },
      drop: async () => {
        kept.length = 0;
        reported.length = 0;
      },
    };
  }

  full = async () => null;
}

/** A mail server that answers as it is told, variant after variant, and then accepts. */
class ScriptedUpstream implements HandOver {
  readonly upstream = { tls: true, requireTls: false };
  readonly served: Recipient[] = [];
  readonly #outcomes: HandOverOutcome[];

  constructor(outcomes: readonly HandOverOutcome[]) {
    this.#outcomes = [...outcomes];
  }

  async deliver({ recipients }: { recipients: readonly Recipient[] }): Promise<HandOverOutcome> {
    const outcome = this.#outcomes.shift() ?? ACCEPTED;
    if (outcome.kind === 'accepted') this.served.push(...recipients);
    return outcome;
  }
}

const outcomes = fc.array(fc.constantFrom(ACCEPTED, ACCEPTED, TEMPORARY, PERMANENT, LOST), {
  minLength: 1,
  maxLength: 5,
});
const scripts = fc.record({
  outcomes,
  fault: fc.constantFrom<Fault>('none', 'none', 'add', 'commit'),
  unmade: fc.option(fc.nat(4), { nil: null, freq: 3 }),
  hasSender: fc.boolean(),
  hasQueue: fc.boolean(),
});
type Script = typeof scripts extends fc.Arbitrary<infer T> ? T : never;

/** Two recipients of each variant. */
function sending({ outcomes: { length }, unmade, hasSender }: Script) {
  const names = Array.from({ length: 2 * length }, (_, i) => `r${i}@example.org`);
  const handedIn = submission(ALICE, names, OCTETS);
  if (!hasSender) Object.assign(handedIn, { envelope: { ...handedIn.envelope, reversePath: null } });
  const { recipients } = handedIn.envelope;
  const variants = Array.from(
    { length },
    (_, i): PreparedVariant => ({
      ...{ recipients: recipients.slice(2 * i, 2 * i + 2), rule: 'all', requireTls: false, appendTo: [] },
      protection: { signed: true, encrypted: false },
      make: async () => {
        if (i === unmade) throw away('key.unavailable');
        return bufferSource(OCTETS);
      },
    }),
  );
  return { handedIn, recipients, variants };
}

async function handed(
  { handedIn, variants }: ReturnType<typeof sending>,
  upstream: HandOver,
  parts: { delivered: FakeDelivered; storeAndForward: StoreAndForward | null },
): Promise<HandedOver | null> {
  const all = { ...parts, log: new FakeLog() };
  // What is thrown comes before anybody has anything, and is a refusal.
  return handOverAll(handedIn, { variants, waiting: [] }, upstream, all).catch(() => null);
}

const sorted = (recipients: readonly Recipient[]) =>
  recipients.map(({ mailbox }) => mailbox.localPart).sort();

describe('a mail of several variants, whatever fails when', () => {
  it('answered 250: each recipient is in exactly one of accepted, queued and reported; else nothing is queued, and who sends again serves each once', async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const mailing = sending(script);
        const upstream = new ScriptedUpstream(script.outcomes);
        const queue = new FakeQueue(script.fault);
        const delivered = new FakeDelivered();
        const storeAndForward = script.hasQueue ? queue : null;
        const result = await handed(mailing, upstream, { delivered, storeAndForward });
        const { kept, reported } = queue;
        if (result?.kind === 'accepted') {
          expect(sorted([...upstream.served, ...kept, ...reported])).toEqual(sorted(mailing.recipients));
          expect(sorted(result.has)).toEqual(sorted([...upstream.served, ...kept]));
          if (reported.length > 0) expect(script.hasSender).toBe(true);
          expect(delivered.keys.size).toBe(0);
          return;
        }
        expect([...kept, ...reported]).toEqual([]);
        if (result !== null && result.reply.code >= 500) return;
        const again = new ScriptedUpstream([]);
        const second = await handed(
          { ...mailing, ...sending({ ...script, unmade: null }), handedIn: mailing.handedIn },
          again,
          { delivered, storeAndForward: null },
        );
        expect(second?.kind).toBe('accepted');
        expect(sorted([...upstream.served, ...again.served])).toEqual(sorted(mailing.recipients));
      }),
      { numRuns: 400 },
    );
  });

  it('into the queue alone: all of it or nothing, and nothing is remembered', async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const mailing = sending(script);
        const queue = new FakeQueue(script.fault);
        const keeping = queue.begin();
        const upstream: HandOver = {
          upstream: { tls: true, requireTls: true },
          deliver: async (variant) => {
            try {
              await keeping.add(variant);
              return ACCEPTED;
            } catch {
              return TEMPORARY;
            }
          },
          commit: () => keeping.commit(),
        };
        const delivered = new FakeDelivered();
        const result = await handed(mailing, upstream, { delivered, storeAndForward: queue });
        const isWhole =
          script.fault === 'none' && (script.unmade === null || script.unmade >= script.outcomes.length);
        expect(result?.kind === 'accepted').toBe(isWhole);
        expect(sorted(queue.kept)).toEqual(isWhole ? sorted(mailing.recipients) : []);
        expect(delivered.keys.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('what the client hears when the rest is kept', () => {
  it('names who has it, who gets it later and who does not, and ends with the id', async () => {
    const script: Script = {
      outcomes: [ACCEPTED, TEMPORARY, PERMANENT, LOST],
      fault: 'none',
      unmade: null,
      hasSender: true,
      hasQueue: true,
    };
    const queue = new FakeQueue();
    const result = await handed(sending(script), new ScriptedUpstream(script.outcomes), {
      delivered: new FakeDelivered(),
      storeAndForward: queue,
    });
    expect(result?.reply.code).toBe(250);
    expect(result?.reply.lines[0]).toMatch(
      /^2\.0\.0 Sent to r0@example\.org, r1@example\.org; kept to be sent to r2@\S+, r3@\S+, r6@\S+, r7@\S+; not to r4@\S+, r5@\S+, of which you are told by mail\. \(mail \w+\)$/,
    );
  });

  it('no room in the queue is 452', async () => {
    const full: Script = {
      outcomes: [ACCEPTED],
      fault: 'commit',
      unmade: null,
      hasSender: true,
      hasQueue: true,
    };
    const upstream: HandOver = {
      upstream: { tls: true, requireTls: true },
      deliver: async () => ACCEPTED,
      commit: () => Promise.reject(away('queue.full')),
    };
    const result = await handed(sending(full), upstream, {
      delivered: new FakeDelivered(),
      storeAndForward: null,
    });
    expect(result?.reply).toMatchObject({ code: 452, lines: [expect.stringMatching(/^4\.3\.1 /)] });
  });
});
