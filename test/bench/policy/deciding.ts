import { decideOutbound } from '../../../src/policy/decide-outbound.ts';
import type { OutboundFacts } from '../../../src/policy/facts.ts';
import { groupsOfAddress } from '../../../src/policy/groups.ts';
import type { Rule } from '../../../src/policy/rules.ts';
import { ALWAYS } from '../../policy/always.ts';
import { facts, recipient, rule } from '../../policy/facts.ts';
import type { Benchmark } from '../benchmark.ts';

/** A mail for 1,000 recipients, groups found and rules decided; certificates are known. */
export function policyDeciding(): Benchmark {
  return {
    name: 'policy-deciding',
    unit: 'mail',
    about:
      'a mail for 1,000 recipients by 21 rules, the last of which decides: lists of 1,000 addresses, domains, groups, tags',
    contenders: [
      {
        name: 'sealgate',
        role: 'ours',
        start: async () => ({
          async run(size) {
            const mails = size === 'quick' ? 20 : 200;
            const began = process.cpuUsage();
            const started = performance.now();
            let slowest = 0;
            for (let n = 0; n < mails; n++) {
              const from = performance.now();
              if (decideOutbound(mail(), RULES).kind !== 'deliver') throw new Error('it was refused');
              slowest = Math.max(slowest, performance.now() - from);
            }
            const seconds = (performance.now() - started) / 1000;
            const { user, system } = process.cpuUsage(began);
            return {
              ...{ units: mails, seconds, cpuSeconds: (user + system) / 1e6 },
              worst: { 'slowest mail, ms': slowest },
            };
          },
          stop: async () => undefined,
        }),
      },
    ],
  };
}

const listed = Array.from({ length: 1_000 }, (_, i) => `person-${i}@long.example`);
const GROUPS = Array.from({ length: 10 }, (_, i) => ({
  name: `group-${i}`,
  addresses: [...listed.slice(i * 100, i * 100 + 100), `sales-${i}-*@other.example`],
  domains: [`d${i}.example`, `*.e${i}.example`],
  logins: [],
}));
const RULES: readonly Rule[] = [
  ...Array.from({ length: 5 }, (_, i) => rule({ name: `list-${i}`, when: { ...ALWAYS, recipient: listed } })),
  ...Array.from({ length: 5 }, (_, i) =>
    rule({ name: `domain-${i}`, when: { ...ALWAYS, recipientDomain: [`*.x${i}.example`, `y${i}.example`] } }),
  ),
  ...Array.from({ length: 5 }, (_, i) =>
    rule({ name: `group-${i}`, when: { ...ALWAYS, recipientGroup: [`group-${i}`] } }),
  ),
  ...Array.from({ length: 5 }, (_, i) =>
    rule({ name: `tag-${i}`, when: { ...ALWAYS, subjectTag: [`tag-${i}`] } }),
  ),
  rule({ name: 'rest', encrypt: 'if-possible' }),
];

function mail(): OutboundFacts {
  const addresses = Array.from({ length: 1_000 }, (_, i) => `reader-${i}@sub.d${i % 20}.example`);
  return facts({
    recipients: addresses.map((address, i) => ({
      ...recipient(address, ...(i % 2 === 0 ? (['verified'] as const) : [])),
      groups: groupsOfAddress(GROUPS, address),
    })),
  });
}
