import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { CertificateSet } from '../../src/pki/certificate-set.ts';
import { type CertificateRevocationList, parseCrl } from '../../src/pki/crl.ts';
import { CrlSet } from '../../src/pki/crl-set.ts';
import { validatePath } from '../../src/pki/path.ts';
import type { PathReport } from '../../src/pki/path-report.ts';
import { type PolicyInputs, validateAlongPath } from '../../src/pki/path-validation.ts';
import { checkRevocation } from '../../src/pki/revocation.ts';
import type { RevocationReport } from '../../src/pki/revocation-report.ts';
import { corpus, pkitsCertificate } from './corpora.ts';

/**
 * The NIST Public Key Interoperability Test Suite, every row: the path by `validatePath`, then revocation with the CRLs of
 * the row, which must be known for every certificate of the path (PKITS expects hard failure). Every row must come out as
 * NIST says.
 */
type Row = {
  test: string;
  title: string;
  certs: string[];
  crls: string[];
  valid: boolean;
  initialPolicySet?: string[];
  initialExplicitPolicy?: boolean;
  initialPolicyMappingInhibit?: boolean;
  initialInhibitAnyPolicy?: boolean;
  userConstrainedPolicySet?: string[];
};

const at = new Date('2026-11-01T00:00:00Z');
const rows = JSON.parse(readFileSync(corpus('pkits', 'expected.json'), 'utf8')) as Row[];

/** Sections of PKITS about CRLs and nothing else: basic revocation, distribution points, delta CRLs. */
const REVOCATION_SECTIONS = /^4\.(?:4|14|15)\./;
/** Outside of them: the only defect is a revoked certificate (4.5) or a CRL signed without cRLSign (4.7). */
const REVOCATION_TESTS = new Set(['4.5.2', '4.5.5', '4.5.7', '4.7.4', '4.7.5']);

/** The rows whose path is valid and which only their CRLs refuse. */
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

function pathAccepted(report: PathReport | 'unreadable'): boolean {
  return report !== 'unreadable' && report.outcome === 'valid';
}

/** None where it cannot be read: one of the badly signed CRLs has a signature that is not even whole octets. */
function pkitsCrl(file: string): CertificateRevocationList[] {
  return readable(() => parseCrl(readFileSync(corpus('pkits', 'crls', `${file}.crl`))));
}

function readable<T>(read: () => T): T[] {
  try {
    return [read()];
  } catch (error) {
    if (error instanceof SealgateError && error.code === 'asn1.malformed') return [];
    throw error;
  }
}

/** null: there is no valid path whose revocation could be asked for. */
function revocation(
  row: Row,
  pool: Iterable<Certificate> = row.certs.flatMap((file) => readable(() => pkitsCertificate(file))),
  crls: Iterable<CertificateRevocationList> = row.crls.flatMap(pkitsCrl),
): RevocationReport | null {
  const report = judge(row, pool);
  if (report === 'unreadable' || report.outcome !== 'valid') return null;
  const { path } = report;
  return checkRevocation({
    path,
    crls,
    ocspResponses: [],
    pool,
    at,
    acceptLegacyAlgorithms: needsLegacy(row),
  });
}

function alongGivenPath(row: Row) {
  return validateAlongPath(
    row.certs.map(pkitsCertificate),
    { at, purpose: null, policy: policyInputs(row), acceptLegacyAlgorithms: needsLegacy(row) },
    { left: 100 },
  );
}

function rowOf(test: string): Row {
  const row = rows.find((candidate) => candidate.test === test);
  if (row === undefined) throw new Error(`PKITS ${test} is missing`);
  return row;
}

const name = (row: Row) => `${row.test} ${row.title} is ${row.valid ? 'accepted' : 'refused'}`;

describe('PKITS: path and revocation', () => {
  it('covers the whole suite', () => {
    expect(rows).toHaveLength(249);
    expect(rows.filter(needsRevocation)).toHaveLength(46);
  });

  it.each(rows.map((row) => [name(row), row] as const))('%s', (_, row) => {
    expect(revocation(row)?.verdict === 'good').toBe(row.valid);
  });
});

describe('PKITS: what each row needs', () => {
  it.each(rows.filter((row) => !needsRevocation(row)).map((row) => [name(row), row] as const))(
    '%s by its path alone',
    (_, row) => {
      expect(pathAccepted(judge(row))).toBe(row.valid);
    },
  );

  it.each(
    rows.filter(needsRevocation).map((row) => [`${row.test} ${row.title}: its path is valid`, row] as const),
  )('%s, and only the CRLs refuse it', (_, row) => {
    expect(pathAccepted(judge(row))).toBe(true);
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
    const row = rowOf(test);
    const inputs = row.test === '4.8.4' ? { ...row, initialExplicitPolicy: true } : row;
    expect(alongGivenPath(inputs).problems.map((problem) => problem.check)).toEqual([check]);
  });
});

const everything = new CertificateSet(
  readdirSync(corpus('pkits', 'certs')).flatMap((file) =>
    readable(() => pkitsCertificate(file.replace(/\.crt$/, ''))),
  ),
);
const allCrls = new CrlSet(
  readdirSync(corpus('pkits', 'crls')).flatMap((file) => pkitsCrl(file.replace(/\.crl$/, ''))),
);

describe('PKITS: path building', () => {
  it('comes to the same judgement with all certificates of the suite in the pool', () => {
    expect(everything.size).toBe(403);
    const different = rows.filter(
      (row) => !needsRevocation(row) && pathAccepted(judge(row, everything)) !== row.valid,
    );
    expect(different.map((row) => row.test)).toEqual([]);
  });
});

describe('PKITS: revocation with all certificates and all CRLs of the suite at hand', () => {
  it('comes to the same judgement', () => {
    // 173 files: one cannot be read, and two are the same CRL.
    expect(allCrls.size).toBe(171);
    const different = rows.filter(
      (row) => (revocation(row, everything, allCrls)?.verdict === 'good') !== row.valid,
    );
    expect(different.map((row) => row.test)).toEqual([]);
  });
});

describe('PKITS: why revocation refuses', () => {
  const revoked = ['4.4.2', '4.4.3', '4.4.15', '4.4.18', '4.4.20', '4.5.2', '4.5.5', '4.5.7'];
  const alsoRevoked = ['4.14.2', '4.14.6', '4.14.15', '4.14.16', '4.14.20', '4.14.21', '4.14.23'];
  const byDelta = ['4.15.3', '4.15.4', '4.15.6', '4.15.9'];

  it.each([...revoked, ...alsoRevoked, ...byDelta])('%s: it is revoked', (test) => {
    expect(revocation(rowOf(test))?.verdict).toBe('revoked');
  });

  it.each([
    ['4.4.1', 'no-information'],
    ['4.4.5', 'no-information'],
    ['4.4.6', 'no-information'],
    ['4.4.8', 'unknown-critical-extension'],
    ['4.4.9', 'unknown-critical-extension'],
    ['4.4.10', 'unknown-critical-extension'],
    ['4.4.11', 'freshness'],
    ['4.4.12', 'freshness'],
    ['4.4.21', 'signer'],
    ['4.7.4', 'signer'],
    ['4.7.5', 'signer'],
    ['4.14.3', 'scope'],
    ['4.14.11', 'scope'],
    ['4.14.12', 'scope'],
    ['4.14.14', 'scope'],
    ['4.14.17', 'scope'],
    ['4.15.1', 'no-information'],
    ['4.15.10', 'freshness'],
  ])('%s: it cannot be told, for one reason: %s', (test, check) => {
    const report = revocation(rowOf(test));
    const first = report?.certificates[0]?.revocation;
    expect(report?.verdict).toBe('unchecked');
    expect(
      first?.status === 'undetermined' ? [...new Set(first.problems.map((one) => one.check))] : first,
    ).toEqual([check]);
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
