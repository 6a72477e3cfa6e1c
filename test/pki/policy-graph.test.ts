import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Certificate } from '../../src/pki/certificate.ts';
import { validatePath } from '../../src/pki/path.ts';
import { oidAnyPolicy, type PolicyMapping } from '../../src/pki/policy-extensions.ts';
import { PolicyGraph } from '../../src/pki/policy-graph.ts';
import {
  certificatePolicies,
  makeCa,
  makeEnd,
  now,
  policyMappings,
  requireExplicitPolicy,
} from './make-certificate.ts';
import { PolicyTree } from './policy-tree.ts';

describe('the policy graph of RFC 9618', () => {
  it('stays small where the tree of RFC 5280 doubles with every certificate (CVE-2023-0464)', () => {
    const policies = ['1.2.1', '1.2.2'];
    const crossed: PolicyMapping[] = policies.flatMap((issuerDomain) =>
      policies.map((subjectDomain) => ({ issuerDomain, subjectDomain })),
    );
    const graph = new PolicyGraph();
    for (let depth = 0; depth < 1_000; depth++) {
      graph.addCertificate(policies, true);
      graph.applyMappings(crossed, true);
    }
    expect([...graph.userConstrainedPolicies(null)].sort()).toEqual(policies);
  });

  it('gives the answers of the tree', () => {
    const policy = fc.constantFrom('1.2.1', '1.2.2', '1.2.3');
    const certificate = fc.record({
      policies: fc.option(
        fc.uniqueArray(fc.oneof(policy, fc.constant(oidAnyPolicy)), { minLength: 1, maxLength: 4 }),
      ),
      anyPolicyCounts: fc.boolean(),
      mappings: fc.array(fc.record({ issuerDomain: policy, subjectDomain: policy }), { maxLength: 3 }),
      mappingAllowed: fc.boolean(),
    });
    const wanted = fc.option(fc.uniqueArray(policy, { maxLength: 3 }));
    fc.assert(
      fc.property(fc.array(certificate, { minLength: 1, maxLength: 4 }), wanted, (certificates, initial) => {
        const graph = new PolicyGraph();
        const tree = new PolicyTree();
        certificates.forEach(({ policies, anyPolicyCounts, mappings, mappingAllowed }, i) => {
          for (const one of [graph, tree]) {
            one.addCertificate(policies, anyPolicyCounts);
            if (i < certificates.length - 1) one.applyMappings(mappings, mappingAllowed);
          }
          expect(graph.isNull).toBe(tree.isNull);
        });
        const set = initial === null ? null : new Set(initial);
        expect([...graph.userConstrainedPolicies(set)].sort()).toEqual(
          [...tree.userConstrainedPolicies(set)].sort(),
        );
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('policies along a path', () => {
  const root = makeCa('Root');
  const outcome = (certificate: Certificate, pool: Certificate[]) => {
    const report = validatePath({ certificate, pool, anchors: [root], at: now });
    return report.outcome === 'valid'
      ? 'valid'
      : [...new Set(report.problems.map(({ check }) => check))].join(' ');
  };

  it('must hold from end to end where a CA requires it', () => {
    const ca = makeCa('CA', 'Root', [certificatePolicies('1.2.1'), requireExplicitPolicy(0)]);
    expect(outcome(makeEnd('End', 'CA', [certificatePolicies('1.2.1')]), [ca])).toBe('valid');
    expect(outcome(makeEnd('End', 'CA', [certificatePolicies('1.2.2')]), [ca])).toBe('policy');
    expect(outcome(makeEnd('End', 'CA'), [ca])).toBe('policy');
  });

  it('must hold where the end entity itself requires it (RFC 5280 §6.1.5 (b))', () => {
    const ca = makeCa('CA', 'Root', [certificatePolicies('1.2.1')]);
    expect(outcome(makeEnd('End', 'CA', [certificatePolicies('1.2.2')]), [ca])).toBe('valid');
    const strict = [certificatePolicies('1.2.2'), requireExplicitPolicy(0)];
    expect(outcome(makeEnd('End', 'CA', strict), [ca])).toBe('policy');
  });

  it.each<[string, Buffer[]]>([
    ['a mapping from any policy', [certificatePolicies('1.2.1'), policyMappings([oidAnyPolicy, '1.2.1'])]],
    ['a mapping to any policy', [certificatePolicies('1.2.1'), policyMappings(['1.2.1', oidAnyPolicy])]],
    ['a policy twice', [certificatePolicies('1.2.1', '1.2.1')]],
    ['no policy in the list', [certificatePolicies()]],
    ['no mapping in the list', [policyMappings()]],
    [
      'more policies than anybody needs',
      [certificatePolicies(...Array.from({ length: 200 }, (_, i) => `1.2.${i}`))],
    ],
  ])('fail with %s', (_, extensions) => {
    expect(outcome(makeEnd('End', 'CA'), [makeCa('CA', 'Root', extensions)])).toBe('policy');
  });
});
