import { describe, expect, test } from 'vitest';
import { certificateFor, own, peopleOf, standingOf, TestOwn } from './people.ts';

const alice = own({ address: 'alice@example.org', cn: 'Alice Able' });
const signing = own({
  address: 'alice@example.org',
  use: 'sign',
  serial: 2,
  notBefore: new Date('2025-01-01'),
});
const bob = own({ address: 'bob@sub.example.org' });

const shown = async (people: ReturnType<typeof peopleOf>, address: string) => {
  const person = people.find(address);
  return person === null ? null : (await people.current(person)).map(({ fingerprint }) => fingerprint);
};

describe('published are', () => {
  test('certificates that may sign or encrypt, by address, the newest first', async () => {
    const people = peopleOf([alice, signing, bob]);
    expect(people.all.map(({ address }) => address)).toEqual(['alice@example.org', 'bob@sub.example.org']);
    expect(await shown(people, 'alice@EXAMPLE.org')).toEqual([
      signing.certificate.fingerprint,
      alice.certificate.fingerprint,
    ]);
  });

  test('each certificate once, whoever has it', async () => {
    expect(await shown(peopleOf([alice, alice]), 'alice@example.org')).toHaveLength(1);
  });

  test('no address but the one that the certificate names', async () => {
    const info = own({ address: 'info@example.org', names: 'alice@example.org' });
    expect(peopleOf([info]).find('info@example.org')).toBeNull();
    // RFC 5321 §2.4: another letter case is another person.
    expect(peopleOf([alice]).find('Alice@example.org')).toBeNull();
    expect(peopleOf([alice]).find('nobody')).toBeNull();
  });

  test('none that has expired, is not valid yet, is revoked or is for something else', async () => {
    const unfit = [
      own({ address: 'a@example.org', notAfter: new Date('2026-05-01') }),
      own({ address: 'a@example.org', notBefore: new Date('2026-07-01'), serial: 2 }),
      own({ address: 'a@example.org', use: 'authority', serial: 3 }),
    ];
    const revoked = own({ address: 'a@example.org', serial: 4 });
    const standing = standingOf(new Set([revoked.certificate.fingerprint]));
    const people = peopleOf([...unfit, revoked], { standing });
    expect(await shown(people, 'a@example.org')).toEqual([]);
    expect((await people.withheld()).map(({ why }) => why)).toEqual([
      expect.stringContaining('expired'),
      expect.stringContaining('valid only from'),
      expect.stringContaining('key usage'),
      'it is revoked',
    ]);
  });

  test('only domains that are to be published, and nobody who is withheld', () => {
    const domains = (...all: string[]) => peopleOf([alice, bob], { scope: { domains: all, withheld: [] } });
    expect(domains('example.org').all.map(({ address }) => address)).toEqual(['alice@example.org']);
    expect(domains('*.example.org').all.map(({ address }) => address)).toEqual(['bob@sub.example.org']);
    expect(domains('ample.org').all).toEqual([]);
    const withheld = { scope: { domains: null, withheld: ['alice@example.org'] } };
    expect(peopleOf([alice, bob], withheld).find('alice@example.org')).toBeNull();
  });

  test('nobody who is withheld, in whatever letter case, or beside another address in one certificate', async () => {
    const withheld = { scope: { domains: null, withheld: ['alice@example.org'] } };
    const capital = own({ address: 'Alice@example.org' });
    const both = certificateFor({ address: 'info@example.org', also: 'Alice@EXAMPLE.org' });
    const people = peopleOf([capital, { address: 'info@example.org', certificate: both }, bob], withheld);
    expect(people.all.map(({ address }) => address)).toEqual(['bob@sub.example.org']);
    expect((await people.withheld()).map(({ why }) => why)).toEqual([
      'publishing.withheld names the address',
      'it names Alice@EXAMPLE.org as well, and publishing.withheld names that',
    ]);
  });

  test('what there is now: a key that has gone is published no more', async () => {
    const keys = new TestOwn([alice]);
    const people = peopleOf(keys);
    expect(await shown(people, 'alice@example.org')).toHaveLength(1);
    keys.replace([bob]);
    expect(await shown(people, 'alice@example.org')).toBeNull();
    expect(await shown(people, 'bob@sub.example.org')).toHaveLength(1);
  });
});
