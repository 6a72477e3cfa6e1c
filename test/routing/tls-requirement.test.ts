import { expect, test } from 'vitest';
import { readAssociation } from '../../src/directory/smimea/association.ts';
import type { TlsLevel } from '../../src/routing/routes.ts';
import type { StsPolicy } from '../../src/routing/sts-policy.ts';
import { type HostFacts, levelFor, requirementFor } from '../../src/routing/tls-requirement.ts';
import { tlsaRecord } from './support/records.ts';

const LEVELS: readonly TlsLevel[] = ['opportunistic', 'encrypt', 'verify', 'dane', 'dane-or-verify'];
const association = (usage: number) => {
  const read = readAssociation(tlsaRecord(usage, 1, 1, Buffer.alloc(32)));
  if (read === null) throw new Error('none');
  return read;
};
const NAME = 'mx.elsewhere.example';
const tlsa = (...usages: readonly number[]) => ({ base: NAME, associations: usages.map(association) });
const sts = (mode: StsPolicy['mode'], name = NAME): StsPolicy => ({ mode, mx: [name], maxAgeSeconds: 1 });

type Facts = { host?: Partial<HostFacts>; sts?: StsPolicy; hosts?: readonly string[] };
const kinds = ({ host = {}, sts: policy, hosts = [] }: Facts) =>
  LEVELS.map((tls) => {
    const facts = { name: NAME, canonical: NAME, isNamedAuthentically: false, tlsa: null, ...host };
    return requirementFor(facts, { domain: 'x.example', sts: policy ?? null }, { tls, hosts }).kind;
  }).join(' ');

test.each<[string, Facts, string]>([
  ['nothing is known', {}, 'opportunistic encrypted unusable unusable unusable'],
  [
    'DNSSEC names the server',
    { host: { isNamedAuthentically: true } },
    'opportunistic encrypted verified unusable verified',
  ],
  [
    'the route names it',
    { hosts: ['*.elsewhere.example'] },
    'opportunistic encrypted verified unusable verified',
  ],
  [
    'it is in the domain',
    { host: { name: 'a.x.example' } },
    'opportunistic encrypted verified unusable verified',
  ],
  [
    'it looks as if it were',
    { host: { name: 'ax.example' } },
    'opportunistic encrypted unusable unusable unusable',
  ],
  // What a domain asks for is more than what a route does, and never less.
  ['TLSA', { host: { isNamedAuthentically: true, tlsa: tlsa(3) } }, 'dane dane verified dane dane'],
  [
    'TLSA beside MTA-STS',
    { host: { tlsa: tlsa(2, 0) }, sts: sts('enforce', 'other.example') },
    'dane dane unusable dane dane',
  ],
  [
    'TLSA that nobody can use',
    { host: { tlsa: tlsa(0, 1) } },
    'encrypted encrypted unusable unusable unusable',
  ],
  ['TLSA that cannot be read', { host: { tlsa: tlsa() } }, 'encrypted encrypted unusable unusable unusable'],
  ['MTA-STS', { sts: sts('enforce') }, 'verified verified verified unusable verified'],
  [
    'MTA-STS of others',
    { sts: sts('enforce', 'other.example') },
    'unusable unusable unusable unusable unusable',
  ],
  [
    'MTA-STS that is being tested',
    { sts: sts('testing') },
    'opportunistic encrypted verified unusable verified',
  ],
])('%s', (_, facts, expected) => {
  expect(kinds(facts)).toBe(expected);
});

test('mail that must leave by TLS asks for a server that is known to be the right one', () => {
  expect(LEVELS.map((level) => levelFor(level, true))).toEqual([
    ...['dane-or-verify', 'dane-or-verify', 'verify', 'dane', 'dane-or-verify'],
  ]);
  expect(LEVELS.map((level) => levelFor(level, false))).toEqual(LEVELS);
});
