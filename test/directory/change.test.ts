import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Candidate, judgeNewcomer, type KnownIdentity } from '../../src/directory/change.ts';

const issuer = fc.constantFrom(...['A', 'B', 'C'].map((name) => Buffer.from(name)));
const publicKey = fc.constantFrom('k1', 'k2', 'k3', 'k4');
const known: fc.Arbitrary<KnownIdentity> = fc.record({
  issuer,
  publicKey,
  trust: fc.constantFrom('harvested', 'directory', 'verified', 'pinned'),
});
const newcomer: fc.Arbitrary<Candidate> = fc.record({
  issuer,
  publicKey,
  trust: fc.constantFrom('harvested', 'directory', 'verified'),
});

test('a newcomer without a path is used only as the first, or with a key that is known', () => {
  fc.assert(
    fc.property(fc.array(known, { maxLength: 5 }), newcomer, (current, comer) => {
      if (comer.trust !== 'harvested' || judgeNewcomer(current, comer) === 'pending') return;
      expect(current.length === 0 || current.some((each) => each.publicKey === comer.publicKey)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('nothing is used beside a pinned certificate', () => {
  fc.assert(
    fc.property(fc.array(known, { maxLength: 5 }), newcomer, (current, comer) => {
      if (!current.some(({ trust }) => trust === 'pinned')) return;
      expect(judgeNewcomer(current, comer)).toBe('pending');
    }),
    { numRuns: 2000 },
  );
});

test('beside verified ones, a newcomer with a new key is of one of their issuers', () => {
  fc.assert(
    fc.property(fc.array(known, { maxLength: 5 }), newcomer, (current, comer) => {
      const verified = current.filter(({ trust }) => trust === 'verified');
      if (verified.length === 0 || judgeNewcomer(current, comer) === 'pending') return;
      const sameKey = current.some((each) => each.publicKey === comer.publicKey);
      const sameIssuer = verified.some((each) => each.issuer.equals(comer.issuer));
      expect(sameKey || (comer.trust === 'verified' && sameIssuer)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
