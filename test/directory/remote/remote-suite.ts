import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AddressKey } from '../../../src/directory/address-key.ts';
import { CertificateRegister } from '../../../src/directory/register.ts';
import { RemoteLookups } from '../../../src/directory/remote/remote-lookups.ts';
import type { RemoteAnswer, RemoteSource, Vouching } from '../../../src/directory/remote/remote-source.ts';
import { SqlDirectory } from '../../../src/directory/sql-directory.ts';
import { dnsUnanswered } from '../../../src/dns/message.ts';
import type { Event } from '../../../src/log/events.ts';
import type { KnownCertificate } from '../../../src/pipeline/ports.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';
import type { SqlStore } from '../../../src/store/sql-store.ts';
import { BOB, correspondent, finding } from '../correspondent.ts';
import type { TestDatabase } from '../directory-suite.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** `away`: it says so at once. `silent`: it says nothing, and hears nothing either. `of-address-alone`: it is well, and has no answer. */
type Says = readonly Certificate[] | 'away' | 'silent' | 'of-address-alone';

class FakeSource implements RemoteSource {
  readonly kind = 'ldap';
  trust: RemoteSource['trust'] = 'directory';
  optional = false;
  timeoutMs = 60_000;
  questions = 0;
  domain = 'partner.example';
  hold: Promise<void> = Promise.resolve();
  also: Pick<RemoteAnswer, 'vouches' | 'keptMs'> = {};

  readonly name: string;
  says: Says;
  constructor(name: string, says: Says) {
    this.name = name;
    this.says = says;
  }

  covers({ domain }: AddressKey): boolean {
    return domain === this.domain;
  }

  async ask(): Promise<RemoteAnswer> {
    this.questions++;
    await this.hold;
    if (this.says === 'silent') return new Promise(() => undefined);
    if (this.says === 'away') throw new Error('it is away');
    if (this.says === 'of-address-alone') throw dnsUnanswered('SERVFAIL');
    return { certificates: this.says, chain: [], passedOver: 0, ...this.also };
  }
}

/** What holds of remote sources, whatever database keeps what they said. */
export function remoteSuite(make: () => Promise<TestDatabase>): void {
  let database: TestDatabase;
  let store: SqlStore;
  let now: Date;
  let events: Event[];

  beforeEach(async () => {
    database = await make();
    store = await database.open();
    now = new Date('2026-06-01T00:00:00Z');
    events = [];
  });
  afterEach(async () => {
    await store.close();
    await database.remove();
  });

  const anchored = new Set<string>();
  function directoryOf(sources: readonly FakeSource[], timeoutMs = 60_000): SqlDirectory {
    const log = { write: (event: Event) => void events.push(event) };
    const remote = new RemoteLookups({
      ...{ sources, store, log, clock: () => now },
      settings: { timeoutMs, foundMs: 24 * HOUR, noneMs: HOUR, failures: 2, retryMs: HOUR },
      leadsToAnchor: ({ fingerprint }) => anchored.has(fingerprint),
    });
    return new SqlDirectory({ store, log, clock: () => now, remote });
  }
  const later = (milliseconds: number) => {
    now = new Date(now.getTime() + milliseconds);
  };
  const print = ({ fingerprint }: Certificate) => fingerprint;
  const prints = (known: readonly KnownCertificate[]) => known.map(({ certificate }) => print(certificate));
  /** What `find` gives, and why that is not all. */
  async function look(directory: SqlDirectory, address = BOB) {
    const missing: string[] = [];
    const found = await directory.find(address, (reason) => missing.push(reason));
    return { found: prints(found), missing };
  }
  const unusedOf = async (certificate: Certificate) =>
    (await new CertificateRegister({ store, clock: () => now }).history(BOB)).entries.find(
      ({ fingerprint }) => fingerprint === print(certificate),
    );

  const one = correspondent({ serial: 1 });
  const other = correspondent({ serial: 2, issuer: 'Other CA', key: 'other' });

  describe('what a source has', () => {
    test('is found, kept, and named', async () => {
      const partner = new FakeSource('partner', [one]);
      const [known] = await directoryOf([partner]).find(BOB);
      expect(known).toMatchObject({ trust: 'directory', source: 'ldap', sources: ['partner'] });
      expect(known?.certificate.fingerprint).toBe(print(one));
      expect(await unusedOf(one)).toMatchObject({ source: 'ldap', sources: ['partner'], unused: null });
    });

    test.each([
      ['directory', false, 'directory'],
      ['harvested', false, 'harvested'],
      ['directory', true, 'verified'],
      ['harvested', true, 'verified'],
    ] as const)('is trusted as configured (%s), or by its path (%s): %s', async (trust, path, expected) => {
      const partner = new FakeSource('partner', [one]);
      partner.trust = trust;
      anchored.clear();
      if (path) anchored.add(print(one));
      const [known] = await directoryOf([partner]).find(BOB);
      anchored.clear();
      expect(known?.trust).toBe(expected);
    });

    test('is not asked for again until it expires, after a restart too', async () => {
      const partner = new FakeSource('partner', [one]);
      expect(await look(directoryOf([partner]))).toEqual({ found: [print(one)], missing: [] });
      later(24 * HOUR - 1);
      expect(await look(directoryOf([partner]))).toEqual({ found: [print(one)], missing: [] });
      expect(partner.questions).toBe(1);
      later(1);
      await look(directoryOf([partner]));
      expect(partner.questions).toBe(2);
    });

    test('is nothing for an hour where it has nothing', async () => {
      const partner = new FakeSource('partner', []);
      const directory = directoryOf([partner]);
      expect(await look(directory)).toEqual({ found: [], missing: [] });
      partner.says = [one];
      later(HOUR - 1);
      expect(await look(directory)).toEqual({ found: [], missing: [] });
      later(1);
      expect(await look(directory)).toEqual({ found: [print(one)], missing: [] });
    });

    test('is not used any more once it has it no more, unless somebody else gave it too', async () => {
      const partner = new FakeSource('partner', [one]);
      const second = new FakeSource('second', [one]);
      const directory = directoryOf([partner, second]);
      expect((await directory.find(BOB))[0]?.sources).toEqual(['partner', 'second']);
      partner.says = [];
      later(24 * HOUR);
      expect((await directory.find(BOB))[0]?.sources).toEqual(['second']);
      second.says = [];
      later(24 * HOUR);
      expect(await look(directory)).toEqual({ found: [], missing: [] });
      expect(await unusedOf(one)).toMatchObject({ unused: 'withdrawn' });
      await directory.harvest(finding(one));
      expect(await look(directory)).toMatchObject({ found: [print(one)] });
    });

    test('and was taken back stands in no way of what takes its place', async () => {
      const partner = new FakeSource('partner', [one]);
      const directory = directoryOf([partner]);
      await look(directory);
      partner.says = [other];
      later(24 * HOUR);
      expect(await look(directory)).toEqual({ found: [print(other)], missing: [] });
    });

    test('waits for a person where a verified one of another authority is in use', async () => {
      const directory = directoryOf([new FakeSource('partner', [other])]);
      await directory.harvest(finding(one));
      expect(await look(directory)).toEqual({ found: [print(one)], missing: [] });
      expect(await unusedOf(other)).toMatchObject({ state: 'pending', unused: 'pending' });
    });

    test('is never used against a distrust, nor asked for where one is pinned', async () => {
      const partner = new FakeSource('partner', [one]);
      const directory = directoryOf([partner]);
      await look(directory);
      const register = new CertificateRegister({ store, clock: () => now });
      await register.judge(print(one), 'distrust', { by: 'carol', reason: 'stolen' });
      later(24 * HOUR);
      expect(await look(directory)).toEqual({ found: [], missing: [] });
      await directory.harvest(finding(other));
      await register.review(BOB, print(other), 'pin', { by: 'carol', reason: 'met' });
      later(24 * HOUR);
      expect(await look(directory)).toEqual({ found: [print(other)], missing: [] });
      expect(partner.questions).toBe(2);
    });
  });

  describe('what a source vouches for', () => {
    const vouching = (name: string, says: Says, words: Readonly<Record<string, ReturnType<Vouching>>>) =>
      Object.assign(new FakeSource(name, says), {
        also: { vouches: (certificate: Certificate) => words[print(certificate)] ?? null },
      });

    test.each([
      ['verified', 'verified'],
      ['as-source', 'directory'],
      ['by-path', null],
      [null, null],
    ] as const)('of its own is used as it says (%s): %s', async (word, trust) => {
      const directory = directoryOf([vouching('dns', [one], { [print(one)]: word })]);
      const [known] = await directory.find(BOB);
      expect(known?.trust ?? null).toBe(trust);
    });

    test('though a path must lead to an anchor, where one does', async () => {
      anchored.add(print(one));
      const directory = directoryOf([vouching('dns', [one], { [print(one)]: 'by-path' })]);
      const [known] = await directory.find(BOB);
      anchored.clear();
      expect(known?.trust).toBe('verified');
    });

    test('that is known from elsewhere is trusted so, and no other', async () => {
      const dns = vouching('dns', [], { [print(one)]: 'verified' });
      const directory = directoryOf([dns]);
      await directory.harvest(finding(one, { trust: 'harvested' }));
      expect(await directory.find(BOB)).toMatchObject([
        { trust: 'verified', source: 'mail', sources: ['dns'] },
      ]);
      await directory.harvest(finding(other, { trust: 'harvested' }));
      expect((await look(directory)).found).toEqual([print(one)]);
    });

    test('that waits for a person is used then, and a word that is less than that changes nothing', async () => {
      const weak = vouching('weak', [], { [print(other)]: 'as-source' });
      const directory = directoryOf([weak]);
      await directory.harvest(finding(one, { trust: 'harvested' }));
      await directory.harvest(finding(other, { trust: 'harvested' }));
      expect(await look(directory)).toEqual({ found: [print(one)], missing: [] });
      const both = directoryOf([weak, vouching('dns', [], { [print(other)]: 'verified' })]);
      expect((await both.find(BOB)).map(({ trust, certificate }) => [trust, print(certificate)])).toEqual([
        ['verified', print(other)],
        ['harvested', print(one)],
      ]);
    });

    test('is asked again as soon as it says itself', async () => {
      const dns = Object.assign(new FakeSource('dns', [one]), { also: { keptMs: 5 * MINUTE } });
      const directory = directoryOf([dns]);
      await look(directory);
      later(5 * MINUTE - 1);
      await look(directory);
      expect(dns.questions).toBe(1);
      later(1);
      await look(directory);
      expect(dns.questions).toBe(2);
    });
  });

  describe('an outage', () => {
    const sourcesFor = (says: readonly Says[], optional: readonly boolean[]) =>
      says.map((what, i) => Object.assign(new FakeSource(`s${i}`, what), { optional: optional[i] === true }));

    test.each<[string, readonly Says[], readonly boolean[], boolean]>([
      ['one that has it', [[one]], [false], false],
      ['one that has nothing', [[]], [false], false],
      ['one that is away', ['away'], [false], true],
      ['an optional one that is away', ['away'], [true], false],
      ['one that has nothing and one that is away', [[], 'away'], [false, false], true],
      ['one that has nothing and an optional one that is away', [[], 'away'], [false, true], false],
      ['one that is away and an optional one that has nothing', ['away', []], [false, true], true],
      ['one that has it and one that is away', [[one], 'away'], [false, false], true],
      ['an optional one that has it and one that is away', [[one], 'away'], [true, false], true],
      ['two optional ones that are away', ['away', 'away'], [true, true], false],
      ['one that says nothing and one that has it', ['silent', [one]], [false, false], true],
      ['an optional one that says nothing and one that has it', ['silent', [one]], [true, false], false],
    ])('with %s', async (_, says, optional, isMissing) => {
      const directory = directoryOf(sourcesFor(says, optional), 30);
      const has = says.some((what) => Array.isArray(what) && what.length > 0);
      const { found, missing } = await look(directory);
      expect(found).toEqual(has ? [print(one)] : []);
      expect(missing).toHaveLength(isMissing ? 1 : 0);
      // Whoever does not ask whether that is all is not told half of it.
      const asked = directory.find(BOB);
      if (isMissing) await expect(asked).rejects.toMatchObject({ code: 'directory.unavailable' });
      else expect(prints(await asked)).toEqual(found);
    });

    test('leaves what was known, though it has expired', async () => {
      const partner = new FakeSource('partner', [one]);
      const directory = directoryOf([partner]);
      await look(directory);
      partner.says = 'away';
      later(48 * HOUR);
      expect(await look(directory)).toEqual({ found: [print(one)], missing: ['partner: it is away'] });
    });

    test('matters to nobody else: other domains do not ask it', async () => {
      const partner = new FakeSource('partner', 'away');
      expect(await look(directoryOf([partner]), 'x@elsewhere.example')).toEqual({ found: [], missing: [] });
      expect(partner.questions).toBe(0);
    });

    test('of one address alone takes nothing away from others', async () => {
      const dns = new FakeSource('dns', 'of-address-alone');
      const directory = directoryOf([dns]);
      for (let i = 0; i < 5; i++) expect((await look(directory)).missing).toEqual(['dns: SERVFAIL']);
      dns.says = [correspondent({ mailboxes: ['x@partner.example'] })];
      expect((await look(directory, 'x@partner.example')).missing).toEqual([]);
      expect(events.filter(({ event }) => event === 'directory.source-away')).toEqual([]);
    });

    test('opens the breaker, which lets one question through after a while', async () => {
      const partner = new FakeSource('partner', 'away');
      const directory = directoryOf([partner]);
      for (let i = 0; i < 5; i++) expect((await look(directory)).missing).toHaveLength(1);
      expect(partner.questions).toBe(2);
      expect((await look(directory)).missing).toEqual(['partner: it has failed several times just now']);
      partner.says = [one];
      const passed = performance.now.bind(performance);
      using _ = vi.spyOn(performance, 'now').mockImplementation(() => passed() + HOUR);
      expect(await look(directory)).toEqual({ found: [print(one)], missing: [] });
      expect(partner.questions).toBe(3);
      expect(events.map(({ event }) => event).filter((name) => /away|back/.test(name))).toEqual([
        'directory.source-away',
        'directory.source-back',
      ]);
    });
  });

  test('each address is asked for once at a time, and all sources at once', async () => {
    const held = Promise.withResolvers<void>();
    const both = [new FakeSource('a', [one]), new FakeSource('b', [])];
    for (const source of both) source.hold = held.promise;
    const directory = directoryOf(both);
    const looks = Array.from({ length: 20 }, () => look(directory));
    await expect.poll(() => both.map(({ questions }) => questions)).toEqual([1, 1]);
    held.resolve();
    for (const { found, missing } of await Promise.all(looks)) {
      expect({ found, missing }).toEqual({ found: [print(one)], missing: [] });
    }
    expect(both.map(({ questions }) => questions)).toEqual([1, 1]);
  });

  test('few questions are under way at one source, and the others get their turn', async () => {
    const held = Promise.withResolvers<void>();
    const partner = new FakeSource('partner', []);
    partner.hold = held.promise;
    const directory = directoryOf([partner]);
    const looks = Array.from({ length: 50 }, (_, i) => look(directory, `p${i}@partner.example`));
    await expect.poll(() => partner.questions).toBe(16);
    held.resolve();
    expect((await Promise.all(looks)).every(({ missing }) => missing.length === 0)).toBe(true);
    expect(partner.questions).toBe(50);
  });
}
