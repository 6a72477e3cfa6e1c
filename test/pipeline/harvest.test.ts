import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { harvestSigners } from '../../src/pipeline/harvest.ts';
import type { SignatureReport } from '../../src/smime/report.ts';
import { type Person, Town } from './support/people.ts';
import { away, FakeDirectory, FakeLog } from './support/ports.ts';

const ALICE = 'alice@example.org';
const DAY = 24 * 60 * 60 * 1000;

let town: Town;
let alice: Person;
let now: Date;
let good: SignatureReport;
beforeAll(async () => {
  town = await Town.found();
  alice = await town.person(ALICE, { days: 2 });
  now = new Date();
  good = {
    signer: alice.certificate,
    algorithm: 'ecdsa-sha256',
    signedAt: now,
    signature: 'good',
    checks: [],
    path: { outcome: 'valid', path: [alice.certificate], problems: [] } as unknown as SignatureReport['path'],
    revocation: 'unchecked',
    revocationDetail: null,
    speaksFor: 'from',
    capabilities: ['2.16.840.1.101.3.4.1.46'],
  };
});
afterAll(() => town?.end());

let directory: FakeDirectory;
let log: FakeLog;
beforeEach(() => {
  directory = new FakeDirectory();
  log = new FakeLog();
});

function harvest(...signatures: readonly SignatureReport[]): Promise<void> {
  const layer = { kind: 'signed', form: 'clear', signatures, certificates: [alice.certificate] } as const;
  return harvestSigners(ALICE, { layers: [layer] }, { at: now }, directory, log);
}

describe('a signer’s certificate', () => {
  it('is learned with capabilities and signing time', async () => {
    await harvest(good);
    const { capabilities, signedAt } = good;
    const certificate = alice.certificate;
    expect(directory.harvested).toEqual([
      { address: ALICE, certificate, trust: 'verified', capabilities, signedAt },
    ]);
  });

  it('is learned for the From address alone, even if it names more', async () => {
    const mailboxes = [ALICE, 'boss@example.org', 'bank@example.com'];
    const named = new Proxy(alice.certificate, {
      get: (target, name) => (name === 'mailboxes' ? mailboxes : Reflect.get(target, name)),
    });
    await harvest({ ...good, signer: named });
    expect(directory.harvested.map(({ address }) => address)).toEqual([ALICE]);
  });

  it.each([
    ['no path', null],
    ['an invalid path', { outcome: 'invalid' }],
  ])('without trust (%s) is only harvested', async (_, path) => {
    await harvest({ ...good, path: path as SignatureReport['path'] });
    expect(directory.harvested).toMatchObject([{ trust: 'harvested' }]);
  });

  it.each<[string, Partial<SignatureReport>]>([
    ['the signature is bad', { signature: 'bad' }],
    ['the algorithm is unsupported', { signature: 'unsupported' }],
    ['there is no certificate', { signer: null, signature: 'no-certificate' }],
    ['it speaks for another', { speaksFor: 'other' }],
    ['it is unknown whom it speaks for', { speaksFor: 'unknown' }],
    ['it has been revoked', { revocation: 'revoked' }],
  ])('is not learned when %s', async (_, change) => {
    await harvest({ ...good, ...change });
    expect(directory.harvested).toEqual([]);
  });

  it('is not learned when it cannot encrypt', async () => {
    const { certificate } = await town.person(ALICE, { use: 'sign' });
    await harvest({ ...good, signer: certificate });
    expect(directory.harvested).toEqual([]);
  });

  it('is not learned when it has expired', async () => {
    now = new Date(now.getTime() + 3 * DAY);
    await harvest(good);
    now = new Date(now.getTime() - 3 * DAY);
    expect(directory.harvested).toEqual([]);
  });

  it('is not learned from a certificate that merely lies in the message', async () => {
    await harvest();
    expect(directory.harvested).toEqual([]);
  });

  it('that cannot be put away is said in the log, and the next signer is still learned', async () => {
    const put = directory.harvest.bind(directory);
    let calls = 0;
    directory.harvest = async (finding) => {
      if (calls++ === 0) throw away('directory.unavailable');
      return put(finding);
    };
    await harvest(good, good);
    expect(directory.harvested).toHaveLength(1);
    expect(log.named('directory.harvest-failed')).toMatchObject([{ address: ALICE }]);
  });
});
