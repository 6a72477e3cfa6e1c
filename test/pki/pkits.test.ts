import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { CertificateSet } from '../../src/pki/certificate-set.ts';
import { validatePath } from '../../src/pki/path.ts';
import type { PathReport } from '../../src/pki/path-report.ts';
import { type PolicyInputs, validateAlongPath } from '../../src/pki/path-validation.ts';
import { corpus, pkitsCertificate } from './corpora.ts';

/**
 * The NIST Public Key Interoperability Test Suite, every row. Rows that must be refused only because of a CRL are listed
 * by a rule below and asserted for what holds now: the path itself is valid, revocation is unchecked and is the next
 * issue. When revocation is built, the rule goes and those rows join the others.
 */
type Row = {
  test: string;
  title: string;
  certs: string[];
  valid: boolean;
  initialPolicySet?: string[];
  initialExplicitPolicy?: boolean;
  initialPolicyMappingInhibit?: boolean;
  initialInhibitAnyPolicy?: boolean;
  userConstrainedPolicySet?: string[];
};

const at = new Date('2026-11-01T00:00:00Z');
const rows = JSON.parse(readFileSync(corpus('pkits', 'expected.json'), 'utf8')) as Row[];

/** Sections of PKITS that test CRLs and nothing else: basic revocation, distribution points, delta CRLs. */
const REVOCATION_SECTIONS = /^4\.(?:4|14|15)\./;
/** Outside of them: the only defect is a revoked certificate (4.5) or a CRL signed without cRLSign (4.7). */
const REVOCATION_TESTS = new Set(['4.5.2', '4.5.5', '4.5.7', '4.7.4', '4.7.5']);

/** The rows that a look at the CRLs must refuse. 4.14 and 4.15 have no row that fails without one. */
function needsRevocation(row: Row): boolean {
  return !row.valid && (REVOCATION_SECTIONS.test(row.test) || REVOCATION_TESTS.has(row.test));
}

function policyOid(name: string): string {
  if (name === 'anyPolicy') return '2.5.29.32.0';
  // PKITS §3: the test policies are arcs below 2.16.840.1.101.3.2.1.48.
  return `2.16.840.1.101.3.2.1.48.${name.replace('NIST-test-policy-', '')}`;
}

function policyInputs(row: Row): PolicyInputs {
  return {
    initialPolicySet:
      row.initialPolicySet === undefined ? null : new Set(row.initialPolicySet.map(policyOid)),
    initialExplicitPolicy: row.initialExplicitPolicy ?? false,
    initialPolicyMappingInhibit: row.initialPolicyMappingInhibit ?? false,
    initialAnyPolicyInhibit: row.initialInhibitAnyPolicy ?? false,
  };
}

/** Section 4.1 holds the DSA tests, whose keys have 1024 bits and sign with SHA-1. */
function needsLegacy(row: Row): boolean {
  return row.test.startsWith('4.1.');
}

function judge(row: Row, pool?: Iterable<Certificate>): PathReport | 'unreadable' {
  let certificates: Certificate[];
  try {
    certificates = row.certs.map(pkitsCertificate);
  } catch (error) {
    // Two of the badly signed certificates have a signature that is not even whole octets.
    if (error instanceof SealgateError && error.code === 'asn1.malformed') return 'unreadable';
    throw error;
  }
  const [anchor, ...others] = certificates;
  const certificate = others.pop();
  if (anchor === undefined || certificate === undefined) throw new Error(`row ${row.test} has no path`);
  return validatePath({
    certificate,
    pool: pool ?? others,
    anchors: [anchor],
    at,
    policy: policyInputs(row),
    acceptLegacyAlgorithms: needsLegacy(row),
  });
}

function accepted(report: PathReport | 'unreadable'): boolean {
  return report !== 'unreadable' && report.outcome === 'valid';
}

function alongGivenPath(row: Row) {
  return validateAlongPath(
    row.certs.map(pkitsCertificate),
    { at, purpose: null, policy: policyInputs(row), acceptLegacyAlgorithms: needsLegacy(row) },
    { left: 100 },
  );
}

const name = (row: Row) => `${row.test} ${row.title} is ${row.valid ? 'accepted' : 'refused'}`;

describe('PKITS: path validation', () => {
  const judged = rows.filter((row) => !needsRevocation(row));

  it('covers the whole suite', () => {
    expect(rows).toHaveLength(249);
    expect(judged).toHaveLength(203);
  });

  it.each(judged.map((row) => [name(row), row] as const))('%s', (_, row) => {
    expect(accepted(judge(row))).toBe(row.valid);
  });
});

describe('PKITS: rows that only revocation can refuse (unchecked until CRLs are read)', () => {
  it.each(
    rows.filter(needsRevocation).map((row) => [`${row.test} ${row.title}: its path is valid`, row] as const),
  )('%s', (_, row) => {
    expect(accepted(judge(row))).toBe(true);
  });
});

describe('PKITS: the given path, without building', () => {
  it('is refused wherever it must be', () => {
    // Building looks at names and signatures too; here validation stands alone. Rows to be accepted are left out: some
    // list certificates of CRL issuers between those of the path.
    const refused = rows.filter((row) => !row.valid && !needsRevocation(row) && judge(row) !== 'unreadable');
    const passed = refused.filter((row) => alongGivenPath(row).problems.length === 0);
    expect(refused.length).toBeGreaterThan(80);
    expect(passed.map((row) => row.test)).toEqual([]);
  });

  it.each([
    ['4.1.3', 'signature'],
    ['4.2.1', 'validity'],
    ['4.3.1', 'issuer-name'],
    ['4.6.1', 'basic-constraints'],
    ['4.6.5', 'path-length'],
    ['4.7.1', 'key-usage'],
    ['4.8.4', 'policy'],
    ['4.13.2', 'name-constraints'],
    ['4.16.2', 'unknown-critical-extension'],
  ])('%s fails for one reason only: %s', (test, check) => {
    const row = rows.find((candidate) => candidate.test === test);
    if (row === undefined) throw new Error(`PKITS ${test} is missing`);
    const inputs = row.test === '4.8.4' ? { ...row, initialExplicitPolicy: true } : row;
    expect(alongGivenPath(inputs).problems.map((problem) => problem.check)).toEqual([check]);
  });
});

describe('PKITS: path building', () => {
  const everything = new CertificateSet(
    readdirSync(corpus('pkits', 'certs')).flatMap((file) => {
      try {
        return [pkitsCertificate(file.replace(/\.crt$/, ''))];
      } catch (error) {
        if (error instanceof SealgateError) return [];
        throw error;
      }
    }),
  );

  it('comes to the same judgement with all certificates of the suite in the pool', () => {
    expect(everything.size).toBe(403);
    const different = rows.filter(
      (row) => !needsRevocation(row) && accepted(judge(row, everything)) !== row.valid,
    );
    expect(different.map((row) => row.test)).toEqual([]);
  });
});

describe('PKITS: user-constrained-policy-set', () => {
  const told = rows.filter((row) => row.valid && row.userConstrainedPolicySet !== undefined);

  it.each(told.map((row) => [`${row.test} ${row.title}`, row] as const))('%s', (_, row) => {
    const { policies } = alongGivenPath(row);
    const expected = (row.userConstrainedPolicySet ?? []).filter((policy) => policy !== '').map(policyOid);
    expect([...policies].sort()).toEqual(expected.sort());
  });
});

describe('PKITS: weak algorithms', () => {
  it('DSA with SHA-1 and 1024 bits is refused unless legacy algorithms are asked for', () => {
    const row = rows.find((candidate) => candidate.test === '4.1.4');
    const [anchor, ca, end] = (row?.certs ?? []).map(pkitsCertificate);
    if (anchor === undefined || ca === undefined || end === undefined)
      throw new Error('PKITS 4.1.4 is missing');
    const report = validatePath({ certificate: end, pool: [ca], anchors: [anchor], at });
    expect(report).toMatchObject({
      outcome: 'invalid',
      problems: [{ check: 'signature', certificate: end }],
    });
  });
});
