import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { nullValue } from '../../src/asn1/writer.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { parseCrl } from '../../src/pki/crl.ts';
import { writePem } from '../../src/pki/pem.ts';
import { checkRevocation } from '../../src/pki/revocation.ts';
import { ecKey, extension, keyIds, keyUsage, makeCa, makeCertificate, now } from './make-certificate.ts';
import {
  type CrlRecipe,
  cRLDistributionPoints,
  type EntryRecipe,
  freshestCRL,
  hour,
  later,
  makeCrlDer,
  type ScopeRecipe,
} from './make-crl.ts';

/** CRLs made by chance, judged by `openssl verify -crl_check_all` and by us: both must come to the same judgement. */

const folder = mkdtempSync(join(tmpdir(), 'sealgate-crl-'));
afterAll(() => rmSync(folder, { recursive: true }));

const root = makeCa('Root');
const ca = makeCa('CA', 'Root');
/** Signs CRLs for others. */
const crlIssuer = makeCertificate({
  subject: 'CRL Issuer',
  issuer: 'Root',
  key: ecKey('CRL Issuer'),
  issuerKey: ecKey('Root'),
  serial: 300,
  extensions: [keyUsage(6)],
});
const rootCrl = makeCrlDer({ issuer: 'Root', key: ecKey('Root'), number: 1 });
const SERIAL = 77;

const place = fc.constantFrom('P', 'Q');
/** Compromises, the other reasons, too few. */
const reasons: fc.Arbitrary<number[]> = fc.constantFrom<number[][]>([1, 2, 8], [3, 4, 5, 6, 7], [1]);

function mostly<T>(often: T, seldom: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 7, arbitrary: fc.constant(often) }, { weight: 1, arbitrary: seldom });
}

const point = fc.record({
  // Always there: without it OpenSSL takes any place of the CRL, RFC 5280 §6.3.3 (b)(2)(i) only the name of its issuer.
  // Without reasons: OpenSSL does not go on to the CRL of the issuer that covers the others (§6.3.3, last paragraph).
  names: fc.array(place, { minLength: 1, maxLength: 2 }),
  indirect: fc.boolean(),
});
const entry = fc.record({
  serial: fc.constantFrom(SERIAL, 5),
  reason: fc.option(fc.constantFrom(1, 5, 6)),
  issuer: mostly<string | null>(null, fc.constantFrom('CA', 'Other')),
  critical: mostly(false, fc.constant(true)),
});
const complete = fc.record({
  issuer: fc.constantFrom('CA', 'CA', 'CRL Issuer'),
  signer: mostly('itself', fc.constant('mallory')),
  expired: mostly(false, fc.constant(true)),
  future: mostly(false, fc.constant(true)),
  scope: fc.option(
    fc.record({
      names: fc.option(fc.array(place, { minLength: 1, maxLength: 1 })),
      only: mostly<ScopeRecipe['only'] | null>(null, fc.constantFrom('user', 'ca', 'attribute')),
      reasons: mostly<number[] | null>(null, reasons),
      indirect: fc.boolean(),
    }),
  ),
  entries: fc.array(entry, { maxLength: 2 }),
  critical: mostly(false, fc.constant(true)),
});
const recipe = fc.record({
  points: fc.array(point, { maxLength: 2 }),
  deltas: fc.boolean(),
  crls: fc.array(complete, { minLength: 1, maxLength: 3 }),
  // OpenSSL refuses everything for a delta with a false signature, and does not look at the complete CRL where a delta
  // takes a certificate off it; we leave the one out and look at the other.
  // OpenSSL uses a delta only where freshestCRL announces it, and uses one that has expired; so the one is always there,
  // and the other lists nothing.
  delta: fc.option(
    fc.record({
      base: mostly(5, fc.constantFrom(4, 6)),
      number: mostly(10, fc.constantFrom(3)),
      expired: mostly(false, fc.constant(true)),
      reason: fc.option(fc.constantFrom(1, 8)),
    }),
  ),
});
type Recipe = typeof recipe extends fc.Arbitrary<infer T> ? T : never;

function present<T, R>(value: T | null, make: (value: T) => R): R | undefined {
  return value === null ? undefined : make(value);
}

/** Without the members that are undefined: absent and undefined differ here. */
function defined<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

function endOf({ points, deltas, delta }: Recipe): Certificate {
  const made = points.map(({ names, indirect }) =>
    defined<Parameters<typeof cRLDistributionPoints>[0]>({
      names,
      issuers: indirect ? ['CRL Issuer'] : undefined,
    }),
  );
  return makeCertificate({
    subject: 'End',
    issuer: 'CA',
    key: ecKey('End'),
    issuerKey: ecKey('CA'),
    serial: SERIAL,
    extensions: [
      ...keyIds(Buffer.from('End'), null),
      ...(made.length === 0 ? [] : [cRLDistributionPoints(...made)]),
      ...(deltas || delta !== null ? [freshestCRL({ names: ['Deltas'] })] : []),
    ],
  });
}

function entryOf(
  one: Recipe['crls'][number]['entries'][number],
  isIndirect: boolean,
  mayBeUnknown: boolean,
): EntryRecipe {
  return defined<EntryRecipe>({
    serial: one.serial,
    reason: one.reason ?? undefined,
    issuers: isIndirect ? present(one.issuer, (name) => [name]) : undefined,
    extensions: one.critical && mayBeUnknown ? [extension('1.2.3.4', nullValue(), true)] : undefined,
    date: undefined,
  });
}

function crlsOf({ crls, delta, deltas }: Recipe): Buffer[] {
  const freshest = deltas ? [freshestCRL({ names: ['Deltas'] })] : [];
  // Each has an age of its own: of two of one age, either may be taken.
  const made = crls.map((one, i): CrlRecipe => {
    const scope = present(one.scope, ({ names, only, reasons: some, indirect }) =>
      defined<ScopeRecipe>({
        names: names ?? undefined,
        only: only ?? undefined,
        reasons: some ?? undefined,
        indirect,
        uri: undefined,
      }),
    );
    return {
      issuer: one.issuer,
      // Of several, OpenSSL chooses one before it verifies the signature, and does not go back to the others.
      key: ecKey(one.signer === 'itself' || crls.length > 1 ? one.issuer : 'mallory'),
      number: 5,
      thisUpdate:
        one.future && (delta === null || crls.length === 1)
          ? later((i + 1) * hour)
          : later(-(i + 1) * 10 * hour),
      // Of several, OpenSSL may bring an expired one up to date by a delta of another scope.
      nextUpdate: one.expired && (delta === null || crls.length === 1) ? later(-hour) : later(24 * hour),
      ...(scope === undefined ? {} : { scope }),
      entries: one.entries.map((each) => entryOf(each, one.scope?.indirect === true, delta === null)),
      extensions: [
        ...(one.critical && delta === null ? [extension('1.2.3.5', nullValue(), true)] : []),
        ...freshest,
      ],
    };
  });
  const [first] = made;
  if (delta !== null && first !== undefined) {
    made.push({
      issuer: first.issuer,
      key: ecKey(first.issuer),
      number: delta.number,
      base: delta.base,
      thisUpdate: later(-hour),
      nextUpdate: delta.expired ? later(-60_000) : later(2 * hour),
      ...(first.scope === undefined ? {} : { scope: first.scope }),
      entries: delta.reason === null || delta.expired ? [] : [{ serial: SERIAL, reason: delta.reason }],
    });
  }
  return [rootCrl, ...made.map(makeCrlDer)];
}

function opensslSays(end: Certificate, crls: readonly Buffer[]): { accepted: boolean; said: string } {
  const pem = (list: readonly Certificate[]) => list.map(({ der }) => writePem('CERTIFICATE', der)).join('');
  writeFileSync(join(folder, 'trusted'), pem([root]));
  writeFileSync(join(folder, 'untrusted'), pem([ca, crlIssuer]));
  writeFileSync(join(folder, 'end'), pem([end]));
  writeFileSync(join(folder, 'crls'), crls.map((der) => writePem('X509 CRL', der)).join(''));
  const args = ['verify', '-attime', String(now.getTime() / 1000), '-no-CApath', '-no-CAstore'];
  const checks = ['-crl_check_all', '-extended_crl', '-use_deltas', '-CRLfile', 'crls'];
  const run = spawnSync(
    'openssl',
    [...args, ...checks, '-CAfile', 'trusted', '-untrusted', 'untrusted', 'end'],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
  if (run.status === null || !/: OK$|error \d+ at|verification failed/m.test(run.stdout + run.stderr)) {
    throw new Error(`openssl verify did not judge: ${run.stderr}`);
  }
  return { accepted: run.status === 0, said: run.stdout + run.stderr };
}

function ours(end: Certificate, crls: readonly Buffer[]) {
  return checkRevocation({
    path: [end, ca, root],
    crls: crls.map(parseCrl),
    ocspResponses: [],
    pool: [crlIssuer],
    at: now,
  });
}

/**
 * The same cases in every run, since OpenSSL departs from RFC 5280 in places that chance may find; SEALGATE_TEST_SEED tries others.
 */
const SEED = Number(process.env.SEALGATE_TEST_SEED ?? 20_261_122);

describe('openssl verify -crl_check_all -extended_crl -use_deltas', () => {
  it('comes to the same judgement on CRLs made by chance', () => {
    const seen = { good: 0, revoked: 0, unchecked: 0 };
    fc.assert(
      fc.property(recipe, (made) => {
        const end = endOf(made);
        const crls = crlsOf(made);
        const report = ours(end, crls);
        const theirs = opensslSays(end, crls);
        seen[report.verdict]++;
        const why = `${theirs.said}\n${JSON.stringify(report.certificates[0]?.revocation)}`;
        if (report.verdict === 'good' || !theirs.accepted) {
          expect(report.verdict === 'good', why).toBe(theirs.accepted);
          return;
        }
        // OpenSSL chooses one CRL; we hear all that may speak, and one of them says revoked.
        expect(report.verdict, why).toBe('revoked');
        expect(made.crls.length, why).toBeGreaterThan(1);
      }),
      { numRuns: 200, seed: SEED },
    );
    expect(Math.min(seen.good, seen.revoked, seen.unchecked)).toBeGreaterThan(10);
  });
});
