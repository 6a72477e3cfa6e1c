import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideAtRecipient } from '../../src/policy/decide-at-recipient.ts';
import { decideForRecipients } from '../../src/policy/decide-for-recipient.ts';
import { decideOutbound } from '../../src/policy/decide-outbound.ts';
import { explain, recipientLines } from '../../src/policy/explain.ts';
import type { OutboundFacts } from '../../src/policy/facts.ts';
import { judgedCertificates } from '../../src/policy/judged-certificates.ts';
import { correspondenceOf, matchRule } from '../../src/policy/match.ts';
import type { CertificateTrust, Rule } from '../../src/policy/rules.ts';
import { anyFacts, anyRules, ladder } from './arbitrary.ts';

/** The rule of a recipient, found by the plainest reading of "first that applies". */
function ruleOf(facts: OutboundFacts, index: number, rules: readonly Rule[]): Rule | undefined {
  const { from } = facts;
  const recipient = facts.recipients[index];
  if (from === null || recipient === undefined) return undefined;
  const correspondence = correspondenceOf({ ...facts, from })(recipient);
  const rule = rules.find((one) => matchRule(one, correspondence).kind !== 'passed');
  return rule === undefined ? undefined : demanded(rule, facts);
}

/** What the rule and the mail's author want together, by the plainest reading. */
function demanded(rule: Rule, { message }: OutboundFacts): Rule {
  const { tags = false, header = null, mayLower = false } = rule.steering ?? {};
  const fields = message.header.kind === 'values' ? (message.header.of.get(header ?? '') ?? []) : [];
  const said = new Set([...(tags ? message.tags.found : []), ...fields]);
  const none = mayLower && said.has('plain') && !said.has('sign') && !said.has('encrypt');
  return {
    ...rule,
    sign: none ? 'never' : said.has('sign') ? 'require' : rule.sign,
    encrypt: none ? 'never' : said.has('encrypt') ? 'require' : rule.encrypt,
  };
}

function nameOf(rule: Rule | undefined): string | null {
  return rule?.name ?? null;
}

/** The certificates as the rule sees them. */
function judgedFor(facts: OutboundFacts, index: number, rule: Rule) {
  return judgedCertificates(
    facts.recipients[index]?.certificates ?? { kind: 'none' },
    rule.revocation ?? facts.revocation,
  );
}

function holds(check: (facts: OutboundFacts, rules: Rule[]) => void): void {
  fc.assert(fc.property(anyFacts, anyRules, check), { numRuns: 3000 });
}

describe('for all mails and rules', () => {
  test('every recipient is in exactly one variant, one that leaves or one that waits, and every variant has one', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'deliver') return;
      const all = [
        ...decision.variants.flatMap(({ recipients }) => recipients),
        ...decision.held.flatMap(({ recipients }) => recipients.map(({ index }) => index)),
      ];
      expect(decision.held.every(({ recipients }) => recipients.length > 0)).toBe(true);
      expect(all.toSorted((a, b) => a - b)).toEqual(facts.recipients.map((_, index) => index));
      expect(decision.variants.every(({ recipients }) => recipients.length > 0)).toBe(true);
    });
  });

  test('no variant is less protected than the rule of any of its recipients', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'deliver') return;
      for (const { recipients, sign, encrypt, algorithms, requireTls, rule: names } of decision.variants) {
        for (const index of recipients) {
          const rule = ruleOf(facts, index, rules);
          expect(rule).toBeDefined();
          if (rule === undefined) return;
          expect(names.split(', ')).toContain(rule.name);
          const signed = sign !== null || facts.protection === 'signed';
          if (rule.sign === 'require') expect(signed).toBe(true);
          if (rule.sign === 'if-possible' && facts.signing.kind === 'available') expect(signed).toBe(true);
          if (encrypt !== null && facts.protection === 'none') expect(encrypt.subject).toBe(rule.subject);
          expect(requireTls).toBe(rule.requireTls !== 'no');
          if (rule.requireTls !== 'no') expect(facts.upstream.tls).toBe(true);
          if (rule.requireTls === 'onward') expect(facts.upstream.requireTls).toBe(true);
          if (encrypt !== null || sign !== null) expect(algorithms).toEqual(rule.algorithms);
          if (rule.encrypt === 'require' && encrypt === null) {
            expect([rule.withoutCertificate, signed]).toEqual(['send-signed', true]);
          }
          const certificates = judgedFor(facts, index, rule);
          const good = (trust: CertificateTrust) => ladder.indexOf(trust) >= ladder.indexOf(rule.minTrust);
          if (rule.encrypt !== 'never' && encrypt === null) {
            expect(['lookup-failed', 'unchecked']).not.toContain(certificates.kind);
            expect(certificates.kind === 'usable' && certificates.incomplete === true).toBe(false);
            expect(
              certificates.kind === 'usable' && certificates.certificates.some(({ trust }) => good(trust)),
            ).toBe(false);
          }
        }
      }
    });
  });

  test('what waits does so under the terms of the rule of each of its recipients', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'deliver') return;
      for (const { recipients, sign, strip, readable, introduce, terms } of decision.held) {
        for (const { index, because } of recipients) {
          const rule = ruleOf(facts, index, rules);
          if (rule === undefined) return;
          expect(because).not.toBe('');
          expect(rule.encrypt).toBe('require');
          expect(rule.form).not.toBe('triple-wrap');
          const { name, withoutCertificate, minTrust, algorithms, requireTls, appendTo } = rule;
          expect(withoutCertificate).toBe(terms.ask ? 'ask' : 'hold');
          const subject = facts.protection === 'signed' ? 'keep' : rule.subject;
          const revocation = rule.revocation ?? facts.revocation;
          expect(terms).toMatchObject({ rule: name, minTrust, algorithms, requireTls, appendTo });
          expect(terms).toMatchObject({ subject, revocation });
          const signed = sign !== null || facts.protection === 'signed';
          if (sign !== null) expect([sign.form, facts.protection]).toEqual([rule.form, 'none']);
          if (rule.sign === 'require') expect(signed).toBe(true);
          if (rule.sign === 'if-possible' && facts.signing.kind === 'available') expect(signed).toBe(true);
          if (rule.sign === 'never') expect([sign, introduce]).toEqual([null, false]);
          if (readable) expect([withoutCertificate, signed]).toEqual(['ask', true]);
          if (introduce) expect([rule.introduce, facts.signing.kind]).toEqual([true, 'available']);
          if (strip !== null) expect([rule.stripTag, facts.protection]).toEqual([true, 'none']);
          if (rule.requireTls !== 'no') expect(facts.upstream.tls).toBe(true);
          // An outage is a refusal, and who has a certificate does not wait.
          const certificates = judgedFor(facts, index, rule);
          expect(['none', 'unusable', 'usable']).toContain(certificates.kind);
          if (certificates.kind !== 'usable') continue;
          expect(certificates.incomplete).toBe(false);
          const least = ladder.indexOf(minTrust);
          expect(certificates.certificates.every(({ trust }) => ladder.indexOf(trust) < least)).toBe(true);
        }
      }
    });
  });

  test('no variant does what its rule forbids', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'deliver') return;
      for (const { recipients, sign, encrypt } of decision.variants) {
        for (const index of recipients) {
          const rule = ruleOf(facts, index, rules);
          if (rule?.encrypt === 'never') expect(encrypt).toBeNull();
          if (sign !== null) {
            const wrapped = rule?.form === 'triple-wrap' && encrypt === null;
            expect(sign.form).toBe(wrapped ? 'clear' : rule?.form);
          }
          if (rule?.sign === 'never' && sign !== null) expect(rule.withoutCertificate).toBe('send-signed');
        }
      }
    });
  });

  test('every recipient of an encrypted variant has a certificate that its rule trusts', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'deliver') return;
      for (const { recipients, encrypt } of decision.variants) {
        if (encrypt === null) continue;
        expect(encrypt.certificates).toHaveLength(recipients.length);
        for (const [i, index] of recipients.entries()) {
          const known = facts.recipients[index]?.certificates;
          const used =
            known?.kind === 'usable' ? known.certificates[encrypt.certificates[i] ?? -1] : undefined;
          const least = ruleOf(facts, index, rules)?.minTrust ?? 'pinned';
          expect(ladder.indexOf(used?.trust ?? 'harvested')).toBeGreaterThanOrEqual(ladder.indexOf(least));
          expect(used).toBeDefined();
        }
      }
    });
  });

  test('a blind copy is alone in its variant', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'deliver') return;
      for (const { recipients } of decision.variants) {
        if (recipients.some((index) => facts.recipients[index]?.visible !== true)) {
          expect(recipients).toHaveLength(1);
        }
      }
    });
  });

  test('visible recipients with the same protection share one variant', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'deliver') return;
      const shared = decision.variants.filter(
        ({ recipients }) => facts.recipients[recipients[0] ?? 0]?.visible,
      );
      const kinds = shared.map(({ sign, encrypt, strip, algorithms, requireTls }) =>
        JSON.stringify([sign?.form, encrypt?.subject, strip, algorithms, requireTls]),
      );
      expect(new Set(kinds).size).toBe(kinds.length);
    });
  });

  test('octets are forwarded as they came only where the client has protected them', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'forward-unchanged') return;
      expect(facts.protection).not.toBe('none');
      for (const index of facts.recipients.keys()) {
        const rule = ruleOf(facts, index, rules);
        expect(rule?.alreadyProtected).toBe('forward');
        if (facts.protection === 'signed' && rule?.encrypt === 'require') {
          expect(rule.withoutCertificate).toBe('send-signed');
        }
      }
    });
  });

  test('nobody sends as somebody else', () => {
    holds((facts, rules) => {
      const strange = [facts.from, facts.sender].includes('boss@example.org') || facts.from === null;
      if (strange) expect(decideOutbound(facts, rules).kind).toBe('refuse');
    });
  });

  test('a refusal has a class that fits, one line, and recipients that exist', () => {
    holds((facts, rules) => {
      const decision = decideOutbound(facts, rules);
      if (decision.kind !== 'refuse') return;
      expect(decision.enhancedCode).toMatch(
        decision.duration === 'temporary' ? /^4\.\d\.\d{1,3}$/ : /^5\.\d\.\d{1,3}$/,
      );
      expect(decision.publicText).not.toMatch(/\p{Cc}/u);
      expect(decision.recipients.every((index) => facts.recipients[index] !== undefined)).toBe(true);
    });
  });

  test('rules behind the one that decides change nothing', () => {
    holds((facts, rules) => {
      const last = Math.max(
        -1,
        ...facts.recipients.map((_, index) => {
          const rule = ruleOf(facts, index, rules);
          return rule === undefined ? rules.length : rules.findIndex(({ name }) => name === rule.name);
        }),
      );
      expect(decideOutbound(facts, rules.slice(0, last + 1))).toEqual(decideOutbound(facts, rules));
    });
  });

  test('a recipient more never lowers what the others get', () => {
    holds((facts, rules) => {
      const whole = decideOutbound(facts, rules);
      const fewer = decideOutbound({ ...facts, recipients: facts.recipients.slice(0, -1) }, rules);
      if (whole.kind !== 'deliver' || fewer.kind !== 'deliver') return;
      const protectionOf = (decision: typeof whole, index: number) => {
        const waiting = decision.held.find(({ recipients }) => recipients.some((one) => one.index === index));
        if (waiting !== undefined) return waiting.terms;
        const variant = decision.variants.find(({ recipients }) => recipients.includes(index));
        return { sign: variant?.sign, encrypted: variant?.encrypt !== null };
      };
      for (let index = 0; index < facts.recipients.length - 1; index++) {
        expect(protectionOf(whole, index)).toEqual(protectionOf(fewer, index));
      }
    });
  });

  test('the explanation is the decision, with the way to it', () => {
    holds((facts, rules) => {
      const explanation = explain(facts, rules);
      expect(explanation.decision).toEqual(decideOutbound(facts, rules));
      for (const [index, { rule, rules: tried }] of explanation.recipients.entries()) {
        const applied = ruleOf(facts, index, rules);
        expect(rule).toBe(nameOf(applied));
        expect(tried).toHaveLength(
          applied === undefined ? rules.length : rules.findIndex(({ name }) => name === applied.name) + 1,
        );
      }
      for (const line of explanation.recipients.flatMap((one) => recipientLines(one))) {
        expect(line).not.toMatch(/\p{Cc}/u);
      }
    });
  });

  test('a recipient refused at RCPT TO would have been refused with the message', () => {
    holds((facts, rules) => {
      if (facts.protection !== 'none') return;
      for (const recipient of facts.recipients) {
        const early = decideAtRecipient(facts, recipient, rules);
        if (early === null) continue;
        const late = decideOutbound({ ...facts, recipients: [recipient] }, rules);
        expect(late.kind).toBe('refuse');
      }
    });
  });
});

test('while nobody knows who is in a group, each recipient waits, or gets what he would get either way', () => {
  const without = (groups: readonly string[]) => groups.filter((name) => name !== 'board');
  let waits = 0;
  fc.assert(
    fc.property(
      anyFacts,
      anyRules,
      fc.subarray(['from', 'login', 'recipient'], { minLength: 1 }),
      (given, rules, unknown) => {
        const { from } = given;
        if (from === null) return;
        /** Whether those of whom nobody knows are in it. */
        const decided = (are: 'in' | 'out' | 'away') => {
          const groups = are === 'in' ? ['board'] : [];
          const away = are === 'away' ? ['board'] : [];
          const of = (whose: string, known: readonly string[]) =>
            unknown.includes(whose) ? [...without(known), ...groups] : known;
          return decideForRecipients(
            {
              ...{
                ...given,
                from,
                fromGroups: of('from', given.fromGroups),
                loginGroups: of('login', given.loginGroups),
              },
              ...{
                fromGroupsAway: unknown.includes('from') ? away : [],
                loginGroupsAway: unknown.includes('login') ? away : [],
              },
              recipients: given.recipients.map((one) => ({
                ...{ ...one, groups: of('recipient', one.groups) },
                groupsAway: unknown.includes('recipient') ? away : [],
              })),
            },
            rules,
          );
        };
        const [members, others] = [decided('in'), decided('out')];
        for (const [index, { outcome }] of decided('away').entries()) {
          const isWaiting = outcome.kind === 'refuse' && outcome.duration === 'temporary';
          if (isWaiting) waits++;
          else expect([members[index]?.outcome, others[index]?.outcome]).toEqual([outcome, outcome]);
        }
      },
    ),
    { numRuns: 3_000 },
  );
  expect(waits).toBeGreaterThan(100);
});
