import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ImportOutcome, type ImportTrust, importItems } from '../../src/directory/import.ts';
import type { Item } from '../../src/directory/interchange/item.ts';
import { noPinnedFiles, type PinnedFiles } from '../../src/directory/pinned-files.ts';
import { CertificateRegister, type DirectoryEntry } from '../../src/directory/register.ts';
import type { CertificateSearch } from '../../src/directory/search.ts';
import { signerDecisions } from '../../src/directory/signer-decisions.ts';
import { SqlDirectory } from '../../src/directory/sql-directory.ts';
import type { Event } from '../../src/log/events.ts';
import { silentLog } from '../../src/log/log.ts';
import type { Harvest, KnownCertificate } from '../../src/pipeline/ports.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import type { SqlStore } from '../../src/store/sql-store.ts';
import { BOB, correspondent, finding } from './correspondent.ts';

const DAY = 24 * 60 * 60 * 1000;

/** One database of a test: the same one each time it is opened. */
export type TestDatabase = { open(): Promise<SqlStore>; remove(): Promise<void> };

/** What holds of a directory, whatever database it is kept in. `make`: a database without anything in it. */
export function directorySuite(make: () => Promise<TestDatabase>): void {
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

  const register = () => new CertificateRegister({ store, clock: () => now });
  const historyOf = async (address: string) => (await register().history(address)).entries;
  const review = (address: string, fingerprint: string, action: 'accept' | 'pin', reason = 'because') =>
    register().review(address, fingerprint, action, { by: 'carol', reason });
  const judge = (fingerprint: string, action: 'trust' | 'distrust', reason = 'because') =>
    register().judge(fingerprint, action, { by: 'carol', reason });
  const undo = (decision: number | null) => register().undo(decision ?? 0, { by: 'dave', reason: 'a slip' });

  function directoryWith(pinned: PinnedFiles = noPinnedFiles): SqlDirectory {
    return new SqlDirectory({
      store,
      pinned,
      clock: () => now,
      log: { write: (event) => events.push(event) },
    });
  }

  const later = (milliseconds: number) => {
    now = new Date(now.getTime() + milliseconds);
  };

  function prints(known: readonly KnownCertificate[]): string[] {
    return known.map(({ certificate }) => certificate.fingerprint);
  }

  async function entryOf(certificate: Certificate): Promise<DirectoryEntry | undefined> {
    return (await historyOf(BOB)).find(({ fingerprint }) => fingerprint === certificate.fingerprint);
  }

  async function harvest(directory: SqlDirectory, certificate: Certificate, changed: Partial<Harvest> = {}) {
    await directory.harvest(finding(certificate, changed));
    return (await entryOf(certificate))?.state;
  }

  describe('find', () => {
    test('gives nothing for an address nobody has written from', async () => {
      expect(await directoryWith().find(BOB)).toEqual([]);
    });

    test('gives what was harvested, after a restart too', async () => {
      const certificate = correspondent();
      await directoryWith().harvest(finding(certificate, { capabilities: ['2.16.840.1.101.3.4.1.46'] }));
      await store.close();
      store = await database.open();
      const [known, ...more] = await directoryWith().find(BOB);
      expect(more).toEqual([]);
      expect(known).toMatchObject({
        trust: 'verified',
        source: 'mail',
        capabilities: ['2.16.840.1.101.3.4.1.46'],
      });
      expect(known?.certificate.der.equals(certificate.der)).toBe(true);
    });

    test.each([
      ['bob@PARTNER.example', 1],
      ['bob@partner.example.', 0],
      ['bob@sub.partner.example', 0],
      ["bob@partner.example' OR '1'='1", 0],
      ['partner.example', 0],
      ['', 0],
    ])('asked for %j it knows %i', async (address, count) => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent()));
      expect(await directory.find(address)).toHaveLength(count);
    });

    test('reads domains of other scripts and their A-labels as the same', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent(), { address: 'bob@Bücher.example' }));
      expect(await directory.find('bob@xn--bcher-kva.EXAMPLE')).toHaveLength(1);
      expect(await directory.find('bob@bücher.example')).toHaveLength(1);
    });

    test('leaves out what is not valid now, and keeps it in the history', async () => {
      const directory = directoryWith();
      const certificate = correspondent({ notBefore: now, notAfter: new Date(now.getTime() + DAY) });
      await directory.harvest(finding(certificate));
      expect(await directory.find(BOB)).toHaveLength(1);
      later(DAY + 1);
      expect(await directory.find(BOB)).toEqual([]);
      now = new Date('2019-01-01T00:00:00Z');
      expect(await directory.find(BOB)).toEqual([]);
      expect(await historyOf(BOB)).toMatchObject([
        { state: 'current', certificate: { fingerprint: certificate.fingerprint } },
      ]);
    });

    test('goes down the trust ladder, and at each step from the newest', async () => {
      const directory = directoryWith();
      const made = [
        correspondent({ serial: 1, notBefore: new Date('2025-01-01') }),
        correspondent({ serial: 2, notBefore: new Date('2026-01-01') }),
        correspondent({ serial: 3, notBefore: new Date('2026-03-01') }),
      ];
      for (const [i, trust] of (['verified', 'verified', 'harvested'] as const).entries()) {
        await directory.harvest(finding(made[i] ?? correspondent(), { trust }));
      }
      expect(prints(await directory.find(BOB))).toEqual(
        [made[1], made[0], made[2]].map((each) => each?.fingerprint),
      );
    });

    test('says that the directory is away when the database is', async () => {
      const directory = directoryWith();
      await store.close();
      await expect(directory.find(BOB)).rejects.toMatchObject({
        code: 'directory.unavailable',
        duration: 'temporary',
      });
      await expect(directory.harvest(finding(correspondent()))).rejects.toMatchObject({
        code: 'directory.unavailable',
      });
    });
  });

  describe('harvest', () => {
    test('tells the operator of each new certificate once', async () => {
      const directory = directoryWith();
      const certificate = correspondent();
      await directory.harvest(finding(certificate));
      later(DAY);
      await directory.harvest(finding(certificate));
      expect(events).toEqual([
        {
          event: 'directory.harvested',
          level: 'info',
          address: BOB,
          fingerprint: certificate.fingerprint,
          trust: 'verified',
        },
      ]);
    });

    test('keeps first and last seen', async () => {
      const directory = directoryWith();
      const certificate = correspondent();
      const first = now;
      await directory.harvest(finding(certificate));
      later(DAY);
      await directory.harvest(finding(certificate));
      expect(await entryOf(certificate)).toMatchObject({
        firstSeen: first,
        lastSeen: now,
        timesSeen: 2,
      });
    });

    test('notes a certificate that comes with every mail of a mailbox once an hour', async () => {
      const directory = directoryWith();
      const certificate = correspondent();
      for (let i = 0; i < 50; i++) await directory.harvest(finding(certificate));
      expect(await entryOf(certificate)).toMatchObject({ timesSeen: 1 });
      later(60 * 60 * 1000);
      await directory.harvest(finding(certificate));
      expect(await entryOf(certificate)).toMatchObject({ timesSeen: 2 });
    });

    test('raises trust and does not lower it', async () => {
      const directory = directoryWith();
      const certificate = correspondent();
      await directory.harvest(finding(certificate, { trust: 'harvested' }));
      expect(await directory.find(BOB)).toMatchObject([{ trust: 'harvested' }]);
      await directory.harvest(finding(certificate, { trust: 'verified' }));
      expect(await directory.find(BOB)).toMatchObject([{ trust: 'verified' }]);
      later(DAY);
      await directory.harvest(finding(certificate, { trust: 'harvested' }));
      expect(await directory.find(BOB)).toMatchObject([{ trust: 'verified' }]);
    });

    test('keeps the capabilities of the latest mail: an old one sent again does not bring weak ones back', async () => {
      const directory = directoryWith();
      const certificate = correspondent();
      const told = async (capabilities: string[], signedAt: Date | null) => {
        await directory.harvest(finding(certificate, { capabilities, signedAt }));
        return (await directory.find(BOB))[0]?.capabilities;
      };
      expect(await told(['1.2.3'], new Date('2026-05-01'))).toEqual(['1.2.3']);
      expect(await told(['1.2.840.113549.3.7'], new Date('2020-05-01'))).toEqual(['1.2.3']);
      later(DAY);
      expect(await told([], null)).toEqual(['1.2.3']);
      // A date in the future does not shut out what comes after it.
      expect(await told(['1.2.4'], new Date('2099-01-01'))).toEqual(['1.2.4']);
      later(DAY);
      expect(await told(['1.2.5'], now)).toEqual(['1.2.5']);
    });

    test('refuses what is no address', async () => {
      await expect(
        directoryWith().harvest(finding(correspondent(), { address: 'nobody' })),
      ).rejects.toMatchObject({
        code: 'directory.malformed-address',
      });
    });

    test('of one address at the same time lets only one be the first', async () => {
      const directory = directoryWith();
      const rivals = Array.from({ length: 8 }, (_, i) =>
        correspondent({ key: `rival-${i}`, issuer: `CA ${i}` }),
      );
      await Promise.all(rivals.map((each) => directory.harvest(finding(each, { trust: 'harvested' }))));
      expect(await directory.find(BOB)).toHaveLength(1);
      expect(await historyOf(BOB)).toHaveLength(8);
      expect(events.filter(({ event }) => event === 'directory.change-pending')).toHaveLength(7);
    });
  });

  describe('a changed certificate', () => {
    test('by another issuer is kept, told to the operator and not used', async () => {
      const directory = directoryWith();
      const first = correspondent();
      const other = correspondent({ issuer: 'Other CA', key: 'bob-2', notBefore: new Date('2026-05-01') });
      await directory.harvest(finding(first));
      expect(await harvest(directory, other)).toBe('pending');
      expect(prints(await directory.find(BOB))).toEqual([first.fingerprint]);
      expect(events.at(-1)).toEqual({
        event: 'directory.change-pending',
        level: 'warn',
        address: BOB,
        fingerprint: other.fingerprint,
      });
    });

    test('stays pending however often it comes', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent()));
      const other = correspondent({ issuer: 'Other CA', key: 'bob-2' });
      for (let i = 0; i < 5; i++) {
        later(DAY);
        expect(await harvest(directory, other)).toBe('pending');
      }
      expect(events.filter(({ event }) => event === 'directory.change-pending')).toHaveLength(1);
    });

    test('stays pending when the first one has expired', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent({ notAfter: new Date(now.getTime() + DAY) })));
      later(2 * DAY);
      expect(await harvest(directory, correspondent({ issuer: 'Other CA', key: 'bob-2' }))).toBe('pending');
      expect(await directory.find(BOB)).toEqual([]);
    });

    test('by the same issuer, with a path to an anchor, is used', async () => {
      const directory = directoryWith();
      const renewed = correspondent({ key: 'bob-2', notBefore: new Date('2026-05-01') });
      await directory.harvest(finding(correspondent()));
      expect(await harvest(directory, renewed)).toBe('current');
      expect(prints(await directory.find(BOB))[0]).toBe(renewed.fingerprint);
    });

    test('of the same key is used, whoever issued it', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent(), { trust: 'harvested' }));
      expect(await harvest(directory, correspondent({ issuer: 'Other CA' }), { trust: 'harvested' })).toBe(
        'current',
      );
    });

    test('that only names the same issuer, without a path, is not used: anybody can write a name', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent()));
      const forged = correspondent({
        key: 'mallory',
        issuerKey: 'mallory',
        notBefore: new Date('2026-05-01'),
      });
      expect(await harvest(directory, forged, { trust: 'harvested' })).toBe('pending');
      expect(prints(await directory.find(BOB))).not.toContain(forged.fingerprint);
    });

    test('of a self-made one that came first does not keep the true one out', async () => {
      const directory = directoryWith();
      const forged = correspondent({ key: 'mallory', issuer: 'Mallory', notBefore: new Date('2026-05-01') });
      await directory.harvest(finding(forged, { trust: 'harvested' }));
      const genuine = correspondent();
      expect(await harvest(directory, genuine)).toBe('current');
      expect(await directory.find(BOB)).toMatchObject([
        { trust: 'verified', certificate: { fingerprint: genuine.fingerprint } },
        { trust: 'harvested' },
      ]);
    });

    test('that was pending for want of a path is used when the path is found', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent()));
      const renewed = correspondent({ key: 'bob-2' });
      expect(await harvest(directory, renewed, { trust: 'harvested' })).toBe('pending');
      expect(await harvest(directory, renewed, { trust: 'verified' })).toBe('current');
    });

    test('under one address says nothing about another', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent()));
      const carol = correspondent({ issuer: 'Other CA', key: 'carol' });
      await directory.harvest(finding(carol, { address: 'carol@partner.example' }));
      expect(await directory.find('carol@partner.example')).toHaveLength(1);
    });

    test('a thousand times over does not fill the disk, nor push out the first that waits', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent()));
      const waiting = correspondent({ issuer: 'True new CA', key: 'bob-2' });
      await directory.harvest(finding(waiting));
      for (let i = 0; i < 40; i++) {
        const forged = correspondent({ issuer: 'Mallory', key: 'mallory', serial: i + 1 });
        await directory.harvest(finding(forged, { trust: 'harvested' }));
      }
      const history = await historyOf(BOB);
      expect(history).toHaveLength(21);
      expect(history.map(({ fingerprint }) => fingerprint)).toContain(waiting.fingerprint);
    });
  });

  describe('a person’s review', () => {
    async function withPending() {
      const directory = directoryWith();
      const first = correspondent();
      const other = correspondent({ issuer: 'Other CA', key: 'bob-2' });
      await directory.harvest(finding(first));
      await directory.harvest(finding(other, { trust: 'harvested' }));
      return { directory, first, other };
    }

    test('accepts a change: the new one is used, the old one no more', async () => {
      const { directory, first, other } = await withPending();
      expect(await review('bob@PARTNER.example', other.fingerprint, 'accept', 'called Bob')).toBe(1);
      expect(await directory.find(BOB)).toMatchObject([
        { trust: 'harvested', certificate: { fingerprint: other.fingerprint } },
      ]);
      later(DAY);
      expect(await harvest(directory, first)).toBe('superseded');
      expect(prints(await directory.find(BOB))).toEqual([other.fingerprint]);
    });

    test('pins a certificate: no mail changes it any more', async () => {
      const { directory, first, other } = await withPending();
      await review(BOB, other.fingerprint, 'pin');
      expect(await directory.find(BOB)).toMatchObject([
        { trust: 'pinned', certificate: { fingerprint: other.fingerprint } },
      ]);
      expect(await harvest(directory, correspondent({ key: 'bob-3' }))).toBe('pending');
      expect(await harvest(directory, correspondent({ key: 'bob-2', issuer: 'Third CA' }))).toBe('pending');
      later(DAY);
      expect(await harvest(directory, first)).toBe('superseded');
      expect(await harvest(directory, other, { trust: 'verified' })).toBe('current');
      expect(await directory.find(BOB)).toMatchObject([{ trust: 'pinned' }]);
    });

    test('distrusts a certificate: it is not used again, whatever comes', async () => {
      const { directory, first, other } = await withPending();
      await judge(first.fingerprint, 'distrust', 'key lost');
      expect(await directory.find(BOB)).toEqual([]);
      later(DAY);
      expect(await harvest(directory, first)).toBe('current');
      expect(await directory.find(BOB)).toEqual([]);
      await review(BOB, other.fingerprint, 'accept');
      expect(prints(await directory.find(BOB))).toEqual([other.fingerprint]);
    });

    test('distrusts its key too: another certificate of that waits, under every address, and its signatures are not trusted', async () => {
      const directory = directoryWith();
      const stolen = correspondent({ mailboxes: [BOB, 'robert@partner.example'] });
      await directory.harvest(finding(stolen));
      await judge(stolen.fingerprint, 'distrust', 'key stolen');
      const renewed = correspondent({ serial: 77, mailboxes: [BOB, 'robert@partner.example'] });
      expect(await harvest(directory, renewed)).toBe('pending');
      await directory.harvest(finding(renewed, { address: 'robert@partner.example' }));
      expect(await directory.find('robert@partner.example')).toEqual([]);
      expect(await directory.find(BOB)).toEqual([]);
      const decisions = signerDecisions(store, () => now, silentLog);
      expect(await decisions.of(renewed.fingerprint, renewed.subjectPublicKeyInfo)).toMatchObject({
        ...{ decision: 'distrusted', reason: 'key stolen' },
      });
      // A true renewal is a person's to take.
      await review(BOB, renewed.fingerprint, 'accept');
      expect(prints(await directory.find(BOB))).toEqual([renewed.fingerprint]);
      await judge(renewed.fingerprint, 'trust');
      later(5_000);
      expect(await decisions.of(renewed.fingerprint, renewed.subjectPublicKeyInfo)).toMatchObject({
        decision: 'trusted',
      });
      const other = correspondent({ key: 'bob-2' });
      expect(await decisions.of(other.fingerprint, other.subjectPublicKeyInfo)).toBe(null);
    });

    test('of a certificate that is not there changes nothing', async () => {
      const { directory, first } = await withPending();
      expect(await review(BOB, 'f'.repeat(64), 'accept')).toBe(null);
      expect(await review('x', first.fingerprint, 'pin')).toBe(null);
      expect(await register().journal(first.fingerprint)).toEqual([]);
      expect(prints(await directory.find(BOB))).toEqual([first.fingerprint]);
    });

    test('pinned but expired: nothing takes its place by itself', async () => {
      const directory = directoryWith();
      const pinned = correspondent({ notAfter: new Date(now.getTime() + DAY) });
      await directory.harvest(finding(pinned));
      await review(BOB, pinned.fingerprint, 'pin');
      later(2 * DAY);
      await directory.harvest(finding(correspondent({ key: 'bob-2' })));
      expect(await directory.find(BOB)).toEqual([]);
    });
  });

  describe('decisions of people', () => {
    test('trust: a certificate that waits is used, as if it led to an anchor, and says whose word that is', async () => {
      const directory = directoryWith();
      const first = correspondent();
      const other = correspondent({ issuer: 'Other CA', key: 'bob-2', notBefore: new Date('2026-05-01') });
      await directory.harvest(finding(first, { trust: 'harvested' }));
      await directory.harvest(finding(other, { trust: 'harvested' }));
      const decision = await judge(other.fingerprint, 'trust', 'their authority is closed');
      expect(await directory.find(BOB)).toMatchObject([
        {
          trust: 'verified',
          certificate: { fingerprint: other.fingerprint },
          decision: { reason: 'their authority is closed', by: 'carol', at: now },
        },
        { trust: 'harvested', certificate: { fingerprint: first.fingerprint } },
      ]);
      await undo(decision);
      expect(prints(await directory.find(BOB))).toEqual([first.fingerprint]);
    });

    test('distrust beats everything: a pin, and a word of trust before it', async () => {
      const directory = directoryWith();
      const first = correspondent();
      await directory.harvest(finding(first));
      await review(BOB, first.fingerprint, 'pin');
      await judge(first.fingerprint, 'trust');
      await judge(first.fingerprint, 'distrust');
      expect(await directory.find(BOB)).toEqual([]);
      // Neither does it keep another one out.
      const other = correspondent({ issuer: 'Other CA', key: 'bob-2' });
      expect(await harvest(directory, other)).toBe('current');
      expect(prints(await directory.find(BOB))).toEqual([other.fingerprint]);
    });

    test('distrust holds for every address, and for one that is not known yet', async () => {
      const directory = directoryWith();
      const certificate = correspondent();
      await judge(certificate.fingerprint, 'distrust');
      for (const address of [BOB, 'robert@partner.example']) {
        await directory.harvest(finding(certificate, { address }));
        expect(await directory.find(address)).toEqual([]);
      }
      expect(await register().decision(certificate.fingerprint)).toMatchObject({ decision: 'distrusted' });
    });

    test('undone in the reverse order, everything is as it was before', async () => {
      const directory = directoryWith();
      const first = correspondent();
      const other = correspondent({ issuer: 'Other CA', key: 'bob-2' });
      await directory.harvest(finding(first));
      await directory.harvest(finding(other, { trust: 'harvested' }));
      const before = await historyOf(BOB);
      const decisions = [
        await review(BOB, other.fingerprint, 'accept'),
        await review(BOB, first.fingerprint, 'pin'),
        await judge(first.fingerprint, 'trust'),
        await judge(first.fingerprint, 'distrust'),
      ];
      expect(await historyOf(BOB)).not.toEqual(before);
      await expect(undo(decisions[0] ?? null)).rejects.toMatchObject({ code: 'directory.later-decision' });
      for (const decision of decisions.toReversed()) await undo(decision);
      expect(await historyOf(BOB)).toEqual(before);
      await expect(undo(decisions[0] ?? null)).rejects.toMatchObject({ code: 'directory.decision-undone' });
      await expect(undo(4711)).rejects.toMatchObject({ code: 'directory.no-decision' });
    });

    test('stay in the journal, those that were undone too', async () => {
      const certificate = correspondent();
      await directoryWith().harvest(finding(certificate));
      const pin = await review(BOB, certificate.fingerprint, 'pin', 'compared');
      await undo(pin);
      expect(await register().journal(certificate.fingerprint)).toMatchObject([
        { id: pin, action: 'pin', address: BOB, by: 'carol', reason: 'compared', at: now, undoneBy: 2 },
        { id: 2, action: 'undo', undoes: pin, by: 'dave', reason: 'a slip', undoneBy: null },
      ]);
    });
  });

  describe('an import', () => {
    const importing = async (as: ImportTrust, ...certificates: Certificate[]) => {
      async function* items(): AsyncGenerator<Item> {
        for (const certificate of certificates) yield { kind: 'certificate', place: 'here', certificate };
      }
      const outcomes: ImportOutcome[] = [];
      for await (const one of importItems(items(), { store, clock: () => now, as })) outcomes.push(one);
      return outcomes;
    };
    const asDirectory: ImportTrust = { trust: 'directory' };

    test('is trusted as the administrator says, under every address that a certificate names', async () => {
      const certificate = correspondent({ mailboxes: [BOB, 'Robert@xn--bcher-kva.example', 'no address'] });
      expect(await importing(asDirectory, certificate)).toMatchObject([
        { kind: 'taken', addresses: [BOB, 'Robert@xn--bcher-kva.example'], pending: [] },
      ]);
      for (const address of [BOB, 'Robert@bücher.example']) {
        expect(await directoryWith().find(address)).toMatchObject([{ trust: 'directory', source: 'import' }]);
      }
      expect(await importing(asDirectory, certificate)).toMatchObject([{ kind: 'known' }]);
    });

    test('raises what was harvested, lowers nothing, and waits where an address has something better', async () => {
      const directory = directoryWith();
      const first = correspondent();
      const other = correspondent({ issuer: 'Other CA', key: 'bob-2' });
      await directory.harvest(finding(first, { trust: 'harvested' }));
      await importing(asDirectory, first);
      expect(await directory.find(BOB)).toMatchObject([{ trust: 'directory', source: 'mail' }]);
      await directory.harvest(finding(first, { trust: 'verified' }));
      expect(await importing(asDirectory, first, other)).toMatchObject([
        { kind: 'known' },
        { kind: 'taken', pending: [BOB] },
      ]);
      expect(await directory.find(BOB)).toMatchObject([{ trust: 'verified' }]);
    });

    test('pinned: each is a decision of its own that can be undone', async () => {
      const directory = directoryWith();
      const other = correspondent({ issuer: 'Other CA', key: 'bob-2' });
      await directory.harvest(finding(correspondent()));
      await importing({ trust: 'pinned', by: 'carol', reason: 'our partners' }, other);
      expect(prints(await directory.find(BOB))).toEqual([other.fingerprint]);
      const [line] = await register().journal(other.fingerprint);
      expect(line).toMatchObject({ action: 'pin', by: 'carol', reason: 'our partners', address: BOB });
      await undo(line?.id ?? null);
      expect(await directory.find(BOB)).toMatchObject([{ trust: 'verified' }]);
    });

    test('names what is not taken with the reason', async () => {
      const distrusted = correspondent({ serial: 99 });
      await judge(distrusted.fingerprint, 'distrust', 'stolen');
      const outcomes = await importing(
        asDirectory,
        correspondent({ mailboxes: [] }),
        correspondent({ notAfter: new Date(now.getTime() - DAY) }),
        correspondent({ mailboxes: Array.from({ length: 1001 }, (_, i) => `p${i}@partner.example`) }),
        distrusted,
      );
      expect(outcomes.map((one) => (one.kind === 'refused' ? one.why : one.kind))).toEqual([
        expect.stringContaining('names no mail address'),
        expect.stringContaining('expired'),
        expect.stringContaining('more than 1000 addresses'),
        'carol distrusts it: stolen',
      ]);
      expect(await register().count()).toEqual({ entries: 0, certificates: 0 });
    });

    test('of a certificate with a thousand addresses keeps it once', async () => {
      const mailboxes = Array.from({ length: 1000 }, (_, i) => `p${i}@partner.example`);
      await importing(asDirectory, correspondent({ mailboxes }));
      expect(await register().count()).toEqual({ entries: 1000, certificates: 1 });
    });

    test('of many certificates for one address judges one after the other', async () => {
      const rivals = Array.from({ length: 5 }, (_, i) => correspondent({ key: `r${i}`, issuer: `CA ${i}` }));
      await importing(asDirectory, ...rivals);
      expect(prints(await directoryWith().find(BOB))).toEqual([rivals[0]?.fingerprint]);
      expect((await register().search({ state: 'pending' }, 10)).entries).toHaveLength(4);
    });

    test('while mail is harvested for the same addresses loses nothing', async () => {
      const directory = directoryWith();
      const people = Array.from({ length: 40 }, (_, i) => `person${i}@partner.example`);
      const imported = people.map((address) => correspondent({ mailboxes: [address], key: 'import' }));
      const mailed = people.map((address) =>
        correspondent({ mailboxes: [address], key: 'mail', issuer: 'Mail CA' }),
      );
      await Promise.all([
        importing(asDirectory, ...imported),
        ...mailed.map((certificate, i) =>
          directory.harvest(finding(certificate, { address: people[i] ?? '', trust: 'harvested' })),
        ),
      ]);
      expect(await register().count()).toEqual({ entries: 80, certificates: 80 });
      for (const address of people) {
        // Whichever came first: the directory's word counts for more than a stranger's.
        expect((await directory.find(address))[0]).toMatchObject({ trust: 'directory' });
      }
    });
  });

  test('decisions about signers are known while the database is away', async () => {
    const decisions = signerDecisions(store, () => now, silentLog);
    const certificate = correspondent();
    expect(await decisions.of(certificate.fingerprint, certificate.subjectPublicKeyInfo)).toBe(null);
    await judge(certificate.fingerprint, 'distrust', 'stolen');
    later(5_000);
    expect(await decisions.of(certificate.fingerprint, certificate.subjectPublicKeyInfo)).toMatchObject({
      decision: 'distrusted',
      by: 'carol',
    });
    await store.close();
    later(5_000);
    expect(await decisions.of(certificate.fingerprint, certificate.subjectPublicKeyInfo)).toMatchObject({
      decision: 'distrusted',
      reason: 'stolen',
    });
    // Who was never told cannot know.
    const ignorant = signerDecisions(store, () => now, silentLog);
    await expect(
      ignorant.of(certificate.fingerprint, certificate.subjectPublicKeyInfo),
    ).rejects.toMatchObject({
      ...{ code: 'directory.unavailable', duration: 'temporary' },
    });
  });

  describe('letter case', () => {
    const ROBERT = 'Bob@partner.example';

    test('of a local part is passed over where nothing else is known of the address', async () => {
      const directory = directoryWith();
      const certificate = correspondent({ mailboxes: [ROBERT] });
      await directory.harvest(finding(certificate, { address: ROBERT }));
      expect(await directory.find('BOB@partner.example')).toMatchObject([
        { foundAs: ROBERT, certificate: { fingerprint: certificate.fingerprint } },
      ]);
      expect((await directory.find(ROBERT))[0]).not.toHaveProperty('foundAs');
    });

    test('counts where the exact address is known, though by what is not used', async () => {
      const directory = directoryWith();
      const certificate = correspondent({ notAfter: new Date(now.getTime() - DAY) });
      await directory.harvest(finding(certificate));
      await directory.harvest(finding(correspondent({ key: 'bob-2' }), { address: ROBERT }));
      expect(await directory.find(BOB)).toEqual([]);
    });

    test('of several spellings leaves it open which one is meant', async () => {
      const directory = directoryWith();
      await directory.harvest(finding(correspondent(), { address: ROBERT }));
      await directory.harvest(finding(correspondent({ key: 'b' }), { address: 'BOB@partner.example' }));
      expect(await directory.find(BOB)).toEqual([]);
    });

    test('is no way to take a certificate away by a mail in the very spelling that is asked for', async () => {
      const directory = directoryWith();
      const genuine = correspondent();
      await directory.harvest(finding(genuine));
      const forged = correspondent({ key: 'mallory', issuer: 'Mallory', mailboxes: [ROBERT] });
      await directory.harvest(finding(forged, { address: ROBERT, trust: 'harvested' }));
      expect(await directory.find(ROBERT)).toMatchObject([
        { foundAs: BOB, trust: 'verified', certificate: { fingerprint: genuine.fingerprint } },
      ]);
      expect((await register().history(ROBERT)).address).toBe(BOB);
      // Whom a person distrusts takes nothing away either; whom one trusts is somebody else than bob.
      await judge(forged.fingerprint, 'distrust');
      expect(prints(await directory.find(ROBERT))).toEqual([genuine.fingerprint]);
      await judge(forged.fingerprint, 'trust');
      expect(prints(await directory.find(ROBERT))).toEqual([forged.fingerprint]);
    });

    test('does not bring harvested certificates of one spelling to another one that has its own', async () => {
      const directory = directoryWith();
      const mine = correspondent({ mailboxes: [ROBERT] });
      await directory.harvest(finding(mine, { address: ROBERT, trust: 'harvested' }));
      await directory.harvest(finding(correspondent({ key: 'b' }), { trust: 'harvested' }));
      expect(prints(await directory.find(ROBERT))).toEqual([mine.fingerprint]);
    });

    test('is no way around a pinned file', async () => {
      const pinned = correspondent();
      const file = { find: (address: string) => (address === BOB ? [pinned] : []), addresses: [BOB] };
      const forged = correspondent({ key: 'mallory', issuer: 'Mallory' });
      await directoryWith().harvest(finding(forged, { trust: 'harvested' }));
      await directoryWith().harvest(finding(forged, { address: ROBERT, trust: 'harvested' }));
      for (const address of [BOB, ROBERT, 'BOB@partner.example']) {
        const found = await directoryWith(file).find(address);
        expect(found).toMatchObject([{ trust: 'pinned', certificate: { fingerprint: pinned.fingerprint } }]);
      }
      // Where several are pinned, nobody knows which one is meant.
      const two = { find: () => [], addresses: [BOB, 'bOb@partner.example'] };
      expect((await directoryWith(two).find('BoB@partner.example')).map(({ trust }) => trust)).not.toContain(
        'pinned',
      );
    });

    test('is no way to take a certificate away by a mail in another spelling', async () => {
      const directory = directoryWith();
      const genuine = correspondent();
      await directory.harvest(finding(genuine, { address: ROBERT }));
      const forged = correspondent({ key: 'mallory', issuer: 'Mallory' });
      await directory.harvest(finding(forged, { address: 'BOB@partner.example', trust: 'harvested' }));
      expect(prints(await directory.find(BOB))).toEqual([genuine.fingerprint]);
    });
  });

  describe('a search', () => {
    const found = async (search: CertificateSearch) =>
      (await register().search(search, 100)).entries.map(({ address }) => address);

    async function filled() {
      const directory = directoryWith();
      const people = ['anna@example.org', 'Bert@example.org', 'carl_x@bücher.example', 'c%rl@example.net'];
      for (const [i, address] of people.entries()) {
        const certificate = correspondent({
          ...{ key: address, serial: 200 + i, issuer: i < 2 ? 'Müller CA' : 'Other CA' },
          notAfter: new Date(now.getTime() + (i + 1) * 10 * DAY),
        });
        await directory.harvest(finding(certificate, { address }));
      }
      return directory;
    }

    test.each<[CertificateSearch, string[]]>([
      [{ address: 'BERT' }, ['Bert@example.org']],
      [{ address: '@example' }, ['anna@example.org', 'Bert@example.org', 'c%rl@example.net']],
      [{ address: '%' }, ['c%rl@example.net']],
      [{ address: '_' }, ['carl_x@xn--bcher-kva.example']],
      [{ address: '\\' }, []],
      [{ address: "' OR 1=1 --" }, []],
      [{ address: 'carl_x@BÜCHER.example' }, ['carl_x@xn--bcher-kva.example']],
      [{ domain: 'Bücher.example' }, ['carl_x@xn--bcher-kva.example']],
      [{ domain: 'EXAMPLE.org' }, ['anna@example.org', 'Bert@example.org']],
      [{ issuer: 'MÜLLER' }, ['anna@example.org', 'Bert@example.org']],
      [{ subject: 'bob', domain: 'example.net' }, ['c%rl@example.net']],
      [{ serial: 'C9' }, ['Bert@example.org']],
      [{ serial: '00:ca' }, ['carl_x@xn--bcher-kva.example']],
      [{ state: 'pending' }, []],
      [{ state: 'current', trust: 'verified', domain: 'example.net' }, ['c%rl@example.net']],
      [{ expiresBefore: new Date('2026-06-15T00:00:00Z') }, ['anna@example.org']],
      [{ expiresAfter: new Date('2026-07-05T00:00:00Z') }, ['c%rl@example.net']],
    ])('for %j', async (search, addresses) => {
      await filled();
      expect(await found(search)).toEqual(addresses);
    });

    test('by fingerprint and by decision', async () => {
      const directory = await filled();
      const fingerprint = (await directory.find('anna@example.org'))[0]?.certificate.fingerprint ?? '';
      const colons = fingerprint.toUpperCase().replace(/..(?=.)/g, '$&:');
      expect(await found({ fingerprint: colons })).toEqual(['anna@example.org']);
      await judge(fingerprint, 'distrust');
      expect(await found({ decision: 'distrusted' })).toEqual(['anna@example.org']);
      expect(await found({ decision: 'trusted' })).toEqual([]);
    });

    test('goes on where the page before ended', async () => {
      await filled();
      const first = await register().search({}, 3);
      expect(first.entries).toHaveLength(3);
      const second = await register().search({}, 3, first.next ?? 0);
      expect(second).toMatchObject({ entries: [{ address: 'c%rl@example.net' }], next: null });
    });
  });

  test('two gateways that harvest for one address at once use one certificate alone', async () => {
    const other = await database.open();
    try {
      const gateways = [store, other].map(
        (one) => new SqlDirectory({ store: one, clock: () => now, log: silentLog }),
      );
      const rivals = Array.from({ length: 10 }, (_, i) =>
        correspondent({ key: `rival-${i}`, issuer: `CA ${i}` }),
      );
      await Promise.all(
        rivals.map((each, i) => gateways[i % 2]?.harvest(finding(each, { trust: 'harvested' }))),
      );
      const history = await historyOf(BOB);
      expect(history.filter(({ state }) => state === 'current')).toHaveLength(1);
      expect(history).toHaveLength(10);
    } finally {
      await other.close();
    }
  });

  test('a domain of look-alike letters is another domain', async () => {
    const directory = directoryWith();
    await directory.harvest(finding(correspondent(), { address: 'bob@paypal.example' }));
    // The first "a" is Cyrillic.
    expect(await directory.find('bob@p\u{430}ypal.example')).toEqual([]);
    await directory.harvest(finding(correspondent({ key: 'm' }), { address: 'bob@p\u{430}ypal.example' }));
    expect((await historyOf('bob@p\u{430}ypal.example'))[0]?.address).toBe('bob@xn--pypal-4ve.example');
    expect(await directory.find('bob@paypal.example')).toHaveLength(1);
  });

  describe('certificates pinned in files', () => {
    const pinnedFile = (...certificates: Certificate[]): PinnedFiles => ({
      addresses: [BOB],
      find: (address) => (address === BOB ? certificates : []),
    });

    test('are the only ones of their address', async () => {
      await directoryWith().harvest(finding(correspondent()));
      const pinned = correspondent({ key: 'bob-2', issuer: 'Any CA' });
      const found = await directoryWith(pinnedFile(pinned)).find('bob@PARTNER.example');
      expect(found).toEqual([{ certificate: pinned, trust: 'pinned', capabilities: [], source: 'file' }]);
    });

    test('are not changed by a mail: what comes waits', async () => {
      const directory = directoryWith(pinnedFile(correspondent({ key: 'bob-2' })));
      expect(await harvest(directory, correspondent())).toBe('pending');
    });

    test('are not used when they have expired, and nothing else is', async () => {
      await directoryWith().harvest(finding(correspondent()));
      const expired = correspondent({ key: 'bob-2', notAfter: new Date(now.getTime() - DAY) });
      expect(await directoryWith(pinnedFile(expired)).find(BOB)).toEqual([]);
    });
  });

  test('the list gives everything in the order in which it came, and by state', async () => {
    const directory = directoryWith();
    const certificate = correspondent();
    const addresses = Array.from({ length: 600 }, (_, i) => `person${i}@partner.example`);
    for (const address of addresses) await directory.harvest(finding(certificate, { address }));
    await directory.harvest(
      finding(correspondent({ key: 'bob-2', issuer: 'Other CA' }), { address: addresses[7] ?? '' }),
    );
    const listed: string[] = [];
    for await (const { address } of register().all()) listed.push(address);
    expect(listed).toEqual([...addresses, addresses[7]]);
    const pending: string[] = [];
    for await (const { address } of register().all({ state: 'pending' })) pending.push(address);
    expect(pending).toEqual([addresses[7]]);
  });
}
