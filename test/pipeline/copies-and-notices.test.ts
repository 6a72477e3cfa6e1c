import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import type { ArchiveCopies, CopyToKeep } from '../../src/pipeline/archive-copies.ts';
import { explainSubmission } from '../../src/pipeline/explain-submission.ts';
import type { DecidedMail } from '../../src/pipeline/notices.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type { Keeping, StoreAndForward, SubmissionOutcome } from '../../src/pipeline/ports.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { type Person, Town } from './support/people.ts';
import {
  ACCEPTED,
  away,
  FakeDelivered,
  FakeDirectory,
  FakeHolding,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  LOST,
  mail,
  PERMANENT,
  recipient,
  rule,
  ruleFor,
  submission,
  TEMPORARY,
} from './support/ports.ts';

/** What goes into archives beside a mail, and what is told of it. */

const ALICE = 'alice@example.org';
const [BOB, CAROL, DAVE] = ['bob@example.org', 'carol@example.org', 'dave@example.org'];
const MAIL = mail([`From: ${ALICE}`, `To: ${BOB}, ${CAROL}`, 'Subject: the boathouse key']);

let town: Town;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  town = await Town.found();
  [alice, bob] = [await town.person(ALICE), await town.person(BOB)];
});
afterAll(() => town?.end());

/** Says what happens to copies, in its order. */
class FakeArchives implements ArchiveCopies {
  readonly kept: CopyToKeep[] = [];
  readonly story: string[] = [];
  trouble: Error | null = null;
  unstorable: Error | null = null;

  check(): void {
    if (this.unstorable !== null) throw this.unstorable;
  }

  async keep(copy: CopyToKeep) {
    if (this.trouble !== null) throw this.trouble;
    const number = this.kept.push(copy);
    this.story.push(`kept ${number}`);
    return {
      left: async () => void this.story.push(`left ${number}`),
      takenBack: async () => void this.story.push(`taken back ${number}`),
    };
  }
}

let log: FakeLog;
let archives: FakeArchives;
let told: DecidedMail[];
let keyring: FakeKeyring;
let directory: FakeDirectory;
beforeEach(() => {
  log = new FakeLog();
  archives = new FakeArchives();
  told = [];
  keyring = new FakeKeyring([alice, bob]);
  directory = new FakeDirectory();
});

function send(
  rules: readonly Rule[],
  upstream: FakeUpstream = new FakeUpstream(),
  to: readonly string[] = [BOB, CAROL],
  notices: { tell(decided: DecidedMail): Promise<void> } = {
    tell: async (decided) => void told.push(decided),
  },
  storeAndForward: StoreAndForward | null = null,
): Promise<SubmissionOutcome> {
  const story = outboundStory({
    ...{ keyring, directory, delivered: new FakeDelivered(), log, rules, archives, notices },
    ...{ holding: new FakeHolding(), clock: () => new Date(), storeAndForward },
  });
  const handedIn = submission(ALICE, to, MAIL);
  for (const address of to) story.expectRecipient(handedIn.origin, recipient(address));
  return story.submit(handedIn, upstream);
}

const SENT = { appendTo: 'sent' } as const;

describe('copies of a mail', () => {
  it('are kept before it leaves, as it leaves, and only by rules that say so', async () => {
    directory.knows(bob);
    const upstream = new FakeUpstream();
    const deliver = upstream.deliver.bind(upstream);
    upstream.deliver = async (variant) => {
      archives.story.push('handed over');
      return deliver(variant);
    };
    await send([ruleFor([BOB], { ...SENT, requireTls: 'upstream' }), rule()], upstream);
    expect(archives.story).toEqual(['kept 1', 'handed over', 'left 1', 'handed over']);
    const [copy] = archives.kept;
    expect(copy).toMatchObject({ login: ALICE, archives: ['sent'], requireTls: 'upstream' });
    const octets = copy === undefined ? null : await collectFrom(copy.octets);
    expect(octets).toEqual(upstream.messageFor(BOB));
  });

  it('go to the archives of all rules that share a message', async () => {
    await send([ruleFor([BOB], SENT), rule({ appendTo: 'journal' })]);
    expect(archives.kept.map((copy) => copy.archives)).toEqual([['sent', 'journal']]);
  });

  it('are taken back where the mail server refuses the mail', async () => {
    for (const refusal of [TEMPORARY, PERMANENT]) {
      archives.story.length = 0;
      archives.kept.length = 0;
      expect((await send([rule(SENT)], new FakeUpstream(refusal))).kind).toBe('refused');
      expect(archives.story).toEqual(['kept 1', 'taken back 1']);
    }
  });

  it('stay where nobody knows whether it left', async () => {
    await send([rule(SENT)], new FakeUpstream(LOST));
    expect(archives.story).toEqual(['kept 1', 'left 1']);
  });

  it('are taken back where the mail server was lost before it was sent anything', async () => {
    await send(
      [rule(SENT)],
      new FakeUpstream({ kind: 'unreachable', reason: 'it closed the connection', unsent: true }),
    );
    expect(archives.story).toEqual(['kept 1', 'taken back 1']);
  });

  it('wait for the queue to have all of the mail, and are taken back where it has none of it', async () => {
    directory.knows(bob);
    const by = async (commit: () => Promise<void>, handed = new FakeUpstream()) => {
      archives.story.length = 0;
      archives.kept.length = 0;
      const queue = Object.assign(handed, {
        commit: async () => {
          archives.story.push('commit');
          return commit();
        },
      });
      const { kind } = await send([ruleFor([BOB], SENT), rule(SENT)], queue);
      return [kind, ...archives.story];
    };
    const kept = ['kept 1', 'kept 2', 'commit'];
    expect(await by(async () => undefined)).toEqual(['accepted', ...kept, 'left 1', 'left 2']);
    const fails = (code: string) => () => Promise.reject(away(code, 'Not now.'));
    expect(await by(fails('store.unavailable'))).toEqual([
      'refused',
      ...kept,
      'taken back 1',
      'taken back 2',
    ]);
    // A copy too many rather than none.
    expect(await by(fails('queue.in-doubt'))).toEqual(['refused', ...kept, 'left 1', 'left 2']);
    const full = new FakeUpstream();
    const deliver = full.deliver.bind(full);
    full.deliver = async (variant) => (archives.kept.length === 1 ? deliver(variant) : TEMPORARY);
    expect(await by(async () => undefined, full)).toEqual([
      ...['refused', 'kept 1', 'kept 2'],
      ...['taken back 2', 'taken back 1'],
    ]);
  });

  it.each([
    ['refused for now', TEMPORARY, null, 'left 2'],
    ['refused for now', TEMPORARY, away('store.unavailable'), 'taken back 2'],
    ['lost on its way', LOST, null, 'left 2'],
    ['lost on its way', LOST, away('store.unavailable'), 'left 2'],
  ])('of the rest that is %s go by what may have left', async (_, outcome, fault, last) => {
    directory.knows(bob);
    const keeping: Keeping = {
      ...{ add: async () => undefined, fail: async () => undefined, drop: async () => undefined },
      commit: () => (fault === null ? Promise.resolve() : Promise.reject(fault)),
    };
    const queue: StoreAndForward = { begin: () => keeping, full: async () => null };
    const rules = [ruleFor([BOB], SENT), rule(SENT)];
    await send(rules, new FakeUpstream(ACCEPTED, outcome), undefined, undefined, queue);
    expect(archives.story).toEqual(['kept 1', 'left 1', 'kept 2', last]);
  });

  it('of which none can be kept hold the mail up', async () => {
    archives.trouble = away(
      'queue.spool',
      'The gateway has no place to keep the mail just now; try again later.',
    );
    const upstream = new FakeUpstream();
    const { kind, reply } = await send([rule(SENT)], upstream);
    expect([kind, reply.code]).toEqual(['refused', 451]);
    expect(upstream.offered).toEqual([]);
  });

  it('that could never be stored are a refusal before anybody has anything, also where they are for what waits', async () => {
    directory.knows(bob);
    archives.unstorable = new SealgateError({
      ...{ code: 'archive.login', duration: 'permanent', publicText: 'No copy can be stored.' },
    });
    const hold = { encrypt: 'require', withoutCertificate: 'hold' } as const;
    for (const rules of [
      [ruleFor([CAROL], SENT), rule()],
      [ruleFor([CAROL], { ...SENT, ...hold }), rule()],
    ]) {
      const upstream = new FakeUpstream();
      const { kind, reply } = await send(rules, upstream);
      expect([kind, reply.code, upstream.offered]).toEqual(['refused', 554, []]);
    }
  });

  it('that could never be stored show in an explanation too', async () => {
    archives.unstorable = new SealgateError({
      ...{ code: 'archive.login', duration: 'permanent', publicText: 'No copy can be stored.' },
    });
    const explain = (rules: readonly Rule[]) =>
      explainSubmission(
        submission(ALICE, [BOB], MAIL),
        { tls: true, requireTls: true },
        {
          ...{ keyring, directory, delivered: new FakeDelivered(), log, rules },
          clock: () => new Date(),
        },
        { check: (_, names) => names.length > 0 && archives.check() },
      );
    expect((await explain([rule(SENT)])).reply).toMatchObject({
      code: 554,
      text: expect.stringContaining('No copy can be stored.'),
    });
    expect((await explain([rule()])).reply).toBeNull();
  });

  it('that cannot be kept for a part hold that part up, and the client hears who has it', async () => {
    directory.knows(bob);
    archives.trouble = away('queue.spool');
    const { kind, reply } = await send([ruleFor([CAROL], SENT), rule()]);
    expect(kind).toBe('refused');
    expect(reply.lines[0]).toMatch(/^4\.3\.0 Sent to bob@example\.org, but not to carol@example\.org: /);
    expect(log.named('gateway.defect')).toEqual([]);
  });
});

const WATCHED = { notify: ['security@example.org'] } as const;

describe('who wants to hear of a rule', () => {
  it('hears of those whom it decided for, and what became of each', async () => {
    directory.knows(bob);
    const hold = { encrypt: 'require', withoutCertificate: 'hold' } as const;
    const rules = [ruleFor([CAROL], { ...WATCHED, ...hold }), ruleFor([DAVE], {}), rule(WATCHED)];
    await send(rules, new FakeUpstream(), [BOB, CAROL, DAVE]);
    expect(told).toMatchObject([
      {
        ...{ from: ALICE, login: ALICE, reply: ACCEPTED.kind === 'accepted' ? ACCEPTED.reply : null },
        recipients: [
          { address: BOB, rule: 'all', became: { kind: 'sent', signed: true, encrypted: true } },
          { address: CAROL, rule: `for ${CAROL}`, became: { kind: 'waits' } },
        ],
      },
    ]);
    expect(JSON.stringify(told)).not.toContain('boathouse');
  });

  it('hears of a refusal for good, and not of one for now: the mail comes again', async () => {
    await send([rule({ ...WATCHED, encrypt: 'require' })]);
    expect(told).toMatchObject([
      { recipients: [{ became: { kind: 'not-sent' } }, { became: { kind: 'not-sent' } }] },
    ]);
    await send([rule(WATCHED)], new FakeUpstream(PERMANENT));
    expect(told).toHaveLength(2);
    await send([rule(WATCHED)], new FakeUpstream(TEMPORARY));
    await send([rule(WATCHED)], new FakeUpstream(LOST));
    expect(told).toHaveLength(2);
  });

  it('hears of a part that left', async () => {
    directory.knows(bob);
    await send([rule(WATCHED)], new FakeUpstream(ACCEPTED, TEMPORARY));
    expect(told).toMatchObject([
      {
        recipients: [{ became: { kind: 'sent', encrypted: true } }, { became: { kind: 'not-sent' } }],
        reply: { code: 451 },
      },
    ]);
  });

  it('hears nothing of other rules, nor of a mail in somebody else’s name', async () => {
    await send([ruleFor([DAVE], WATCHED), rule()]);
    const story = outboundStory({
      ...{ keyring, directory, delivered: new FakeDelivered(), log, rules: [rule(WATCHED)], archives },
      ...{ notices: { tell: async (decided) => void told.push(decided) }, clock: () => new Date() },
    });
    const { reply } = await story.submit(submission('bob@example.org', [CAROL], MAIL), new FakeUpstream());
    expect(reply.code).toBe(550);
    expect(told).toEqual([]);
  });

  it('holds no mail up that has left', async () => {
    const broken = { tell: () => Promise.reject(new Error('oops')) };
    expect((await send([rule(WATCHED)], new FakeUpstream(), [BOB], broken)).kind).toBe('accepted');
    expect(log.named('gateway.defect')[0]?.error).toContain('oops');
  });
});
