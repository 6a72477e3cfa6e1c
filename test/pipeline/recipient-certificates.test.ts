import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KnownCertificate, RevocationStanding, RevocationUse } from '../../src/pipeline/ports.ts';
import { distinct, RecipientLookups } from '../../src/pipeline/recipient-certificates.ts';
import { type Person, Town } from './support/people.ts';
import { away, FakeDirectory, FakeLog, origin, recipient } from './support/ports.ts';

const BOB = 'bob@example.org';
let NOW: Date;

let town: Town;
let bob: Person;
beforeAll(async () => {
  town = await Town.found();
  bob = await town.person(BOB, { days: 2 });
  NOW = new Date();
});
afterAll(() => town?.end());

let directory: FakeDirectory;
let log: FakeLog;
let lookups: RecipientLookups;
beforeEach(() => {
  directory = new FakeDirectory();
  log = new FakeLog();
  lookups = new RecipientLookups(directory, log);
});

describe('certificates of recipients', () => {
  it('are looked up at RCPT, and not once more at DATA', async () => {
    directory.knows(bob);
    const from = origin('alice@example.org');
    lookups.expect(from, recipient(BOB));
    expect(directory.lookups).toEqual([BOB]);
    const [found] = await lookups.settle(from, [recipient(BOB)], NOW);
    expect(found?.kind).toBe('usable');
    expect(directory.lookups).toEqual([BOB]);
  });

  it('are looked up at DATA where RCPT did not', async () => {
    directory.knows(bob);
    const found = await lookups.settle(origin('a'), [recipient(BOB), recipient('x@example.org')], NOW);
    expect(found.map(({ kind }) => kind)).toEqual(['usable', 'none']);
  });

  it('that are known are given although a source is away, and where none are, nobody knows', async () => {
    directory.knows(bob).away = 'partner: no answer';
    const found = await lookups.settle(origin('a'), [recipient(BOB), recipient('x@example.org')], NOW);
    expect(found).toMatchObject([{ kind: 'usable', incomplete: true }, { kind: 'lookup-failed' }]);
    expect(log.events).toContainEqual({
      ...{ event: 'directory.lookup-failed', level: 'warn', reason: 'partner: no answer' },
    });
  });

  it('come in the order of the recipients, whatever order the directory answers in', async () => {
    const { promise, resolve } = Promise.withResolvers<readonly KnownCertificate[]>();
    directory.knows(bob);
    const find = directory.find.bind(directory);
    directory.find = (address) => (address === 'slow@example.org' ? promise : find(address));
    const from = origin('a');
    for (const address of ['slow@example.org', BOB]) lookups.expect(from, recipient(address));
    const settled = lookups.settle(from, [recipient('slow@example.org'), recipient(BOB)], NOW);
    resolve([]);
    expect((await settled).map(({ kind }) => kind)).toEqual(['none', 'usable']);
  });

  it.each(['bob@ｅxample.org', 'bob@exam\u{ad}ple.org', 'bob@example。org'])(
    'are those of the domain that mail servers map to: %s',
    async (written) => {
      directory.knows(bob);
      const [found] = await lookups.settle(origin('a'), [recipient(written)], NOW);
      expect(found?.kind).toBe('usable');
      expect(distinct([recipient(BOB), recipient(written)])).toHaveLength(1);
    },
  );

  it('of another mailbox are none', async () => {
    directory.known.set('Bob@example.org', directory.knows(bob).known.get(BOB) ?? []);
    const found = await lookups.settle(origin('a'), [recipient('Bob@example.org')], NOW);
    expect(found).toEqual([{ kind: 'none' }]);
  });

  it('that were found under the address in another letter case are those of its owner', async () => {
    const known = directory.knows(bob).known.get(BOB) ?? [];
    directory.known.set(
      'Bob@example.org',
      known.map((one) => ({ ...one, foundAs: BOB })),
    );
    const found = await lookups.settle(origin('a'), [recipient('Bob@example.org')], NOW);
    expect(found.map(({ kind }) => kind)).toEqual(['usable']);
  });

  it('that a person trusts need no path, under hard too', async () => {
    const [known] = directory.knows(bob).known.get(BOB) ?? [];
    const standing: RevocationStanding = { of: async () => ({ kind: 'no-path' }) };
    const revocation: RevocationUse = { failure: 'hard', standing };
    const doubts = async (one: KnownCertificate) => {
      directory.known.set(BOB, [one]);
      const strict = new RecipientLookups(directory, log, () => true, { revocation });
      const [found] = await strict.settle(origin('a'), [recipient(BOB)], NOW);
      return found?.kind === 'usable' ? found.certificates.map(({ doubt }) => doubt) : found?.kind;
    };
    if (known === undefined) throw new Error('bob is known');
    const decision = { by: 'carol', reason: 'met', at: NOW };
    expect(await doubts({ ...known, trust: 'verified' })).toEqual([
      { because: expect.anything(), mayPass: false },
    ]);
    expect(await doubts({ ...known, trust: 'verified', decision })).toEqual([null]);
  });

  it('that have expired by then are there and cannot be used, which is said', async () => {
    directory.knows(bob);
    const late = new Date(NOW.getTime() + 3 * 24 * 60 * 60 * 1000);
    expect(await lookups.settle(origin('a'), [recipient(BOB)], late)).toEqual([
      { kind: 'unusable', because: expect.stringMatching(/^This certificate expired at /) },
    ]);
  });

  it('that cannot be looked up are not none; the operator learns why', async () => {
    directory.trouble = away('directory.unavailable', 'The directory is away.');
    const from = origin('a');
    lookups.expect(from, recipient(BOB));
    expect(await lookups.settle(from, [recipient(BOB)], NOW)).toEqual([{ kind: 'lookup-failed' }]);
    expect(log.events).toMatchObject([
      { event: 'directory.lookup-failed', reason: expect.stringContaining('The directory is away.') },
    ]);
    expect(JSON.stringify(log.events)).not.toContain(BOB);
  });

  it('belong to one session: what another found or failed to find is not used', async () => {
    const [one, other] = [origin('alice@example.org'), origin('mallory@example.org')];
    directory.trouble = away('directory.unavailable');
    lookups.expect(other, recipient(BOB));
    directory.trouble = null;
    directory.knows(bob);
    const [found] = await lookups.settle(one, [recipient(BOB)], NOW);
    expect(found?.kind).toBe('usable');
  });

  it('are looked up anew by the next RCPT: an abandoned transaction leaves nothing old behind', async () => {
    const from = origin('alice@example.org');
    lookups.expect(from, recipient(BOB));
    directory.knows(bob);
    lookups.expect(from, recipient(BOB));
    const [found] = await lookups.settle(from, [recipient(BOB)], NOW);
    expect(found?.kind).toBe('usable');
  });

  it('of a mail are not those of the next one', async () => {
    const from = origin('alice@example.org');
    lookups.expect(from, recipient(BOB));
    await lookups.settle(from, [recipient(BOB)], NOW);
    directory.knows(bob);
    const [found] = await lookups.settle(from, [recipient(BOB)], NOW);
    expect(found?.kind).toBe('usable');
  });

  it('of clients that never send DATA are kept within a bound, and those that fell out are looked up again', async () => {
    const [first, crowd] = [origin('alice@example.org'), origin('mallory@example.org')];
    lookups.expect(first, recipient(BOB));
    for (let n = 0; n < 20_000; n++) lookups.expect(crowd, recipient(`r${n}@example.org`));
    const before = directory.lookups.length;
    await lookups.settle(first, [recipient(BOB)], NOW);
    await lookups.settle(crowd, [recipient('r19999@example.org')], NOW);
    expect(directory.lookups.slice(before)).toEqual([BOB]);
  });
});

describe('the bound on look-ups', () => {
  it('lets the oldest go first, and a mailbox that is named again is young again', async () => {
    const [first, crowd] = [origin('alice@example.org'), origin('mallory@example.org')];
    lookups.expect(first, recipient(BOB));
    for (let n = 0; n < 19_999; n++) lookups.expect(crowd, recipient(`r${n}@example.org`));
    lookups.expect(first, recipient(BOB));
    lookups.expect(crowd, recipient('last@example.org'));
    const before = directory.lookups.length;
    await lookups.settle(first, [recipient(BOB)], NOW);
    await lookups.settle(crowd, [recipient('r0@example.org')], NOW);
    expect(directory.lookups.slice(before)).toEqual(['r0@example.org']);
  });
});

describe('each mailbox once', () => {
  it.each([
    [
      ['a@x.org', 'b@x.org', 'a@X.ORG', '"a"@x.org', 'a@x.org'],
      ['a@x.org', 'b@x.org'],
    ],
    [
      ['a@x.org', 'A@x.org'],
      ['a@x.org', 'A@x.org'],
    ],
    [
      ['a@x.org', '"a b"@x.org', 'ab@x.org'],
      ['a@x.org', '"a b"@x.org', 'ab@x.org'],
    ],
  ])('%j', (given, once) => {
    expect(distinct(given.map(recipient))).toEqual(once.map(recipient));
  });
});
