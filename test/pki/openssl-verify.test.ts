import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { nullValue } from '../../src/asn1/writer.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { validatePath } from '../../src/pki/path.ts';
import { writePem } from '../../src/pki/pem.ts';
import {
  basicConstraints,
  certificatePolicies,
  ecKey,
  extendedKeyUsage,
  extension,
  from,
  generalName,
  keyIds,
  keyUsage,
  makeCertificate,
  nameConstraints,
  now,
  policyMappings,
  requireExplicitPolicy,
  subjectAltName,
  until,
} from './make-certificate.ts';

/** Chains made by chance, judged by `openssl verify` and by us: both must come to the same judgement. */

const folder = mkdtempSync(join(tmpdir(), 'sealgate-verify-'));
afterAll(() => rmSync(folder, { recursive: true }));

const email = '1.3.6.1.5.5.7.3.4';
const mailbox = fc.constantFrom('a@b.example', 'c@b.example', 'a@d.b.example', 'a@evil.example');
const subtree = fc.constantFrom('b.example', '.b.example', 'a@b.example', 'evil.example', '.example');
const policy = fc.constantFrom('1.2.1', '1.2.2', '2.5.29.32.0');

/** `often` most of the time, so that a chain has few defects and valid ones are common. */
function mostly<T>(often: T, seldom: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 9, arbitrary: fc.constant(often) }, { weight: 1, arbitrary: seldom });
}
function sometimes<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
}

const link = fc.record({
  cA: mostly(true, fc.constant(false)),
  pathLength: sometimes(fc.nat({ max: 2 })),
  usage: mostly<number[]>([5, 6], fc.constantFrom([0], [6], [5])),
  // anyExtendedKeyUsage is left out: OpenSSL does not take it for mail, RFC 8550 §4.4.4 does.
  purpose: mostly<string | null>(null, fc.constantFrom(email, '1.3.6.1.5.5.7.3.1')),
  selfIssued: mostly(false, fc.constant(true)),
  signer: mostly('issuer', fc.constant('mallory')),
  unknown: mostly<boolean | null>(null, fc.boolean()),
  expired: mostly(false, fc.constant(true)),
  permitted: sometimes(fc.array(subtree, { minLength: 1, maxLength: 2 })),
  excluded: sometimes(fc.array(subtree, { minLength: 1, maxLength: 1 })),
  policies: sometimes(fc.uniqueArray(policy, { minLength: 1, maxLength: 2 })),
  explicit: mostly<number | null>(null, fc.nat({ max: 2 })),
  mapped: mostly(false, fc.constant(true)),
});
const chain = fc.record({
  links: fc.array(link, { minLength: 1, maxLength: 4 }),
  end: fc.record({
    mailboxes: fc.array(mailbox, { minLength: 1, maxLength: 2 }),
    purpose: mostly<string | null>(email, fc.constantFrom(null, '1.3.6.1.5.5.7.3.1')),
    policies: sometimes(fc.uniqueArray(policy, { minLength: 1, maxLength: 2 })),
    signer: mostly('issuer', fc.constant('mallory')),
  }),
});
type Chain = typeof chain extends fc.Arbitrary<infer T> ? T : never;

function present<T>(value: T | null, make: (value: T) => Buffer): Buffer[] {
  return value === null ? [] : [make(value)];
}

/** OpenSSL looks for the issuer of a key that was rolled over by its identifier only. */
function keyId(i: number): Buffer {
  return Buffer.from(`key ${i}`);
}

/** Anchor first, end entity last. */
function build({ links, end }: Chain): Certificate[] {
  const names: string[] = [];
  const certificates = links.map((one, i) => {
    const issuer = names[i - 1] ?? 'CA 0';
    const subject = one.selfIssued && i > 0 ? issuer : `CA ${i}`;
    names.push(subject);
    const bases = (texts: string[] | null) => (texts ?? []).map(generalName.mailbox);
    const constrained = one.permitted !== null || one.excluded !== null;
    return makeCertificate({
      subject,
      issuer,
      key: ecKey(`key ${i}`),
      issuerKey: ecKey(i === 0 ? 'key 0' : one.signer === 'issuer' ? `key ${i - 1}` : 'mallory'),
      notAfter: one.expired ? new Date(from.getTime() + 1_000) : until,
      extensions: [
        basicConstraints(one.cA, one.cA ? one.pathLength : null),
        keyUsage(...one.usage),
        ...keyIds(keyId(i), i === 0 ? null : keyId(i - 1)),
        ...present(one.purpose, (oid) => extendedKeyUsage(false, oid)),
        ...present(one.unknown, (critical) => extension('1.2.3.4', nullValue(), critical)),
        ...(constrained ? [nameConstraints(bases(one.permitted), bases(one.excluded))] : []),
        ...present(one.policies, (oids) => certificatePolicies(...oids)),
        // An anchor's policy constraints bind us and not OpenSSL, its mappings OpenSSL and not us (RFC 5280 §6.1.1 (d)).
        ...(i === 0 ? [] : present(one.explicit, requireExplicitPolicy)),
        ...(one.mapped && i > 0 ? [policyMappings(['1.2.1', '1.2.2'])] : []),
      ],
    });
  });
  const last = links.length - 1;
  const leaf = makeCertificate({
    subject: 'End',
    issuer: names[last] ?? '',
    key: ecKey('End'),
    issuerKey: ecKey(end.signer === 'issuer' ? `key ${last}` : 'mallory'),
    extensions: [
      basicConstraints(false),
      keyUsage(0),
      ...keyIds(keyId(links.length), keyId(last)),
      subjectAltName(...end.mailboxes.map(generalName.mailbox)),
      ...present(end.purpose, (oid) => extendedKeyUsage(false, oid)),
      ...present(end.policies, (oids) => certificatePolicies(...oids)),
    ],
  });
  return [...certificates, leaf];
}

function opensslAccepts(certificates: readonly Certificate[]): { accepted: boolean; said: string } {
  const pem = (list: readonly Certificate[]) => list.map(({ der }) => writePem('CERTIFICATE', der)).join('');
  // The anchor stands in both files because openssl refuses an empty one.
  const files = {
    trusted: certificates.slice(0, 1),
    untrusted: certificates.slice(0, -1),
    end: certificates.slice(-1),
  };
  for (const [name, list] of Object.entries(files)) writeFileSync(join(folder, name), pem(list));
  const args = [
    'verify',
    '-attime',
    String(now.getTime() / 1000),
    '-purpose',
    'smimesign',
    '-policy_check',
    '-no-CApath',
  ];
  const place = ['-no-CAfile', '-no-CAstore', '-trusted', 'trusted', '-untrusted', 'untrusted', 'end'];
  const run = spawnSync('openssl', [...args, ...place], { cwd: folder, encoding: 'utf8' });
  if (run.status === null || !/: OK$|error \d+ at|verification failed/m.test(run.stdout + run.stderr)) {
    throw new Error(`openssl verify did not judge: ${run.stderr}`);
  }
  return { accepted: run.status === 0, said: run.stdout + run.stderr };
}

/** The same cases in every run, since OpenSSL departs from RFC 5280 in places that chance may find; SEALGATE_TEST_SEED tries others. */
const SEED = Number(process.env.SEALGATE_TEST_SEED ?? 20_261_122);

describe('openssl verify', () => {
  it('comes to the same judgement on chains made by chance', () => {
    const seen = { valid: 0, invalid: 0 };
    fc.assert(
      fc.property(chain, (recipe) => {
        const certificates = build(recipe);
        const [anchor, ...others] = certificates;
        const certificate = others.pop();
        if (anchor === undefined || certificate === undefined) throw new Error('no chain');
        const ours = validatePath({
          certificate,
          pool: others,
          anchors: [anchor],
          at: now,
          purpose: 'email-protection',
        });
        const theirs = opensslAccepts(certificates);
        const why = ours.outcome === 'valid' ? theirs.said : ours.problems.map(({ text }) => text).join('\n');
        seen[ours.outcome]++;
        expect(ours.outcome, why).toBe(theirs.accepted ? 'valid' : 'invalid');
      }),
      { numRuns: 250, seed: SEED },
    );
    // The generator must give both, or the comparison says nothing.
    expect(Math.min(seen.valid, seen.invalid)).toBeGreaterThan(25);
  });
});
