import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decideOutbound } from '../../src/policy/decide-outbound.ts';
import { mayEncrypt as mayEncryptTo } from '../../src/policy/may-encrypt.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { facts, ORIGIN, recipient, rule } from './facts.ts';

const mayEncrypt = (login: string, address: string, rules: readonly Rule[]) =>
  mayEncryptTo({ ...ORIGIN, principal: { login } }, { address, groups: [] }, rules);

const BOB = 'bob@partner.example';

it('needs no certificates where no rule encrypts', () => {
  expect(mayEncrypt('alice', BOB, [rule({ encrypt: 'never' })])).toBe(false);
  expect(mayEncrypt('alice', BOB, [])).toBe(false);
});

it('needs them where a rule encrypts, if only where it can', () => {
  expect(mayEncrypt('alice', BOB, [rule({ encrypt: 'if-possible' })])).toBe(true);
  expect(mayEncrypt('alice', BOB, [rule({ encrypt: 'require' })])).toBe(true);
});

it('looks behind a rule that depends on the sender, and not behind one that decides', () => {
  const never = rule({ encrypt: 'never', when: { sender: ['alice@example.org'] } });
  const require = rule({ encrypt: 'require' });
  expect(mayEncrypt('alice', BOB, [never, require])).toBe(true);
  expect(mayEncrypt('alice', BOB, [rule({ encrypt: 'never' }), require])).toBe(false);
});

it('passes over rules for others', () => {
  const forCarol = rule({ encrypt: 'require', when: { recipient: ['carol@partner.example'] } });
  expect(mayEncrypt('alice', BOB, [forCarol, rule({ encrypt: 'never' })])).toBe(false);
  expect(mayEncrypt('alice', 'Carol@partner.example', [forCarol])).toBe(true);
  const forDave = rule({ encrypt: 'require', when: { login: ['dave'] } });
  expect(mayEncrypt('alice', BOB, [forDave, rule({ encrypt: 'never' })])).toBe(false);
});

it('is false only where the decision is the same whatever is known of the recipient', () => {
  const some = <T>(...values: T[]) => fc.constantFrom<T | null>(null, ...values);
  const rules = fc.array(
    fc.record({
      encrypt: fc.constantFrom('require' as const, 'if-possible' as const, 'never' as const),
      sign: fc.constantFrom('require' as const, 'never' as const),
      when: fc.record({
        recipient: some(['bob@partner.example'], ['carol@partner.example']),
        recipientDomain: some(['*'], ['partner.example'], ['*.partner.example']),
        sender: some(['alice@example.org'], ['eve@example.org']),
        senderDomain: some(['example.org'], ['other.example']),
        login: some(['alice'], ['eve']),
      }),
    }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(rules, (changes) => {
      const all = changes.map((change, index) => rule({ name: `rule ${index}`, ...change }));
      if (mayEncrypt('alice', BOB, all)) return;
      const decisions = [
        recipient(BOB),
        recipient(BOB, 'pinned'),
        { ...recipient(BOB), certificates: { kind: 'lookup-failed' as const } },
      ].map((one) => decideOutbound(facts({ recipients: [one] }), all));
      expect(decisions[1]).toEqual(decisions[0]);
      expect(decisions[2]).toEqual(decisions[0]);
    }),
    { numRuns: 500 },
  );
});
