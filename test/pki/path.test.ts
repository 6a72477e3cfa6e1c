import { describe, expect, it } from 'vitest';
import { integer, nullValue, octetString } from '../../src/asn1/writer.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { CertificateSet } from '../../src/pki/certificate-set.ts';
import { type PathRequest, validatePath } from '../../src/pki/path.ts';
import { corpusCertificate, rfc9216At } from './corpora.ts';
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
  makeCa,
  makeCertificate,
  makeEnd,
  nameConstraints,
  now,
  requireExplicitPolicy,
  subjectAltName,
  until,
} from './make-certificate.ts';

const email = '1.3.6.1.5.5.7.3.4';
const root = makeCa('Root');

function judge(certificate: Certificate, pool: Iterable<Certificate>, more: Partial<PathRequest> = {}) {
  return validatePath({ certificate, pool, anchors: [root], at: now, purpose: 'email-protection', ...more });
}

/** `valid`, or what failed, in order. */
function outcome(...request: Parameters<typeof judge>): string {
  const report = judge(...request);
  return report.outcome === 'valid' ? 'valid' : report.problems.map(({ check }) => check).join(' ');
}

describe('RFC 9216', () => {
  const rsa = corpusCertificate('rfc9216', 'ca-rsa.crt');
  const ed25519 = corpusCertificate('rfc9216', 'ca-ed25519.crt');
  const crosses = ['ca-rsa-cross.crt', 'ca-ed25519-cross.crt'].map((file) =>
    corpusCertificate('rfc9216', file),
  );

  it.each([
    ['alice', rsa],
    ['bob', rsa],
    ['carlos', ed25519],
    ['dana', ed25519],
  ])('%s has a path of two certificates to the own CA', (person, anchor) => {
    for (const use of ['sign', 'encrypt']) {
      const certificate = corpusCertificate('rfc9216', `${person}.${use}.crt`);
      const report = judge(certificate, [], { anchors: [anchor], at: rfc9216At });
      expect(report).toEqual({ outcome: 'valid', anchor, path: [certificate, anchor] });
    }
  });

  it.each([
    ['alice', ed25519],
    ['dana', rsa],
  ])('%s has a path through the cross certificate to the other CA', (person, anchor) => {
    const certificate = corpusCertificate('rfc9216', `${person}.sign.crt`);
    const report = judge(certificate, [rsa, ed25519, ...crosses], { anchors: [anchor], at: rfc9216At });
    expect(report).toMatchObject({ outcome: 'valid', anchor });
    expect(report.outcome === 'valid' && report.path).toHaveLength(3);
  });

  it('has no path without the cross certificates', () => {
    const alice = corpusCertificate('rfc9216', 'alice.sign.crt');
    expect(outcome(alice, [rsa], { anchors: [ed25519], at: rfc9216At })).toBe('no-path');
  });
});

describe('KIM', () => {
  const files = ['hci-enc-2-kim-bsp.pem', 'GEM.KOMP-CA24-TEST-ONLY.pem', 'GEM.RCA2-TEST-ONLY.pem'] as const;
  const [end, ca, anchor] = files.map((file) => corpusCertificate('kim', 'recipient-a', file)) as [
    Certificate,
    Certificate,
    Certificate,
  ];

  it('has a path while it was valid, and none afterwards', () => {
    const at = new Date('2022-01-01T00:00:00Z');
    expect(judge(end, [ca], { anchors: [anchor], at })).toMatchObject({
      outcome: 'valid',
      path: [end, ca, anchor],
    });
    expect(outcome(end, [ca], { anchors: [anchor], at: rfc9216At })).toContain('validity');
  });
});

describe('one certificate of a path', () => {
  const ca = makeCa('CA', 'Root');
  const end = makeEnd('End', 'CA');

  it('is found in the pool, and not believed for being there', () => {
    expect(outcome(end, [ca])).toBe('valid');
    expect(outcome(end, [])).toBe('no-path');
    expect(outcome(end, [ca, root], { anchors: [] })).toBe('no-path');
  });

  it('may be the anchor itself', () => {
    const own = makeEnd('Own', 'Own');
    expect(judge(own, [], { anchors: [own] })).toEqual({ outcome: 'valid', anchor: own, path: [own] });
    expect(outcome(own, [], { anchors: [own], at: new Date(until.getTime() + 1) })).toBe('validity');
    expect(outcome(own, [own])).toBe('no-path');
  });

  it('may be an intermediate that is configured as the anchor', () => {
    expect(judge(end, [ca, root], { anchors: [ca] })).toMatchObject({ outcome: 'valid', anchor: ca });
  });

  it('must be signed by the key of the issuer that it names', () => {
    const forged = makeCertificate({
      subject: 'End',
      issuer: 'CA',
      key: ecKey('End'),
      issuerKey: ecKey('Mallory'),
    });
    expect(judge(forged, [ca])).toMatchObject({ problems: [{ check: 'signature', certificate: forged }] });
  });

  it('is not helped by a forged CA of the same name', () => {
    const mallory = makeCertificate({
      subject: 'Root',
      key: ecKey('Mallory'),
      extensions: [basicConstraints(true), keyUsage(5)],
    });
    const forged = makeCertificate({
      subject: 'End',
      issuer: 'Root',
      key: ecKey('End'),
      issuerKey: ecKey('Mallory'),
    });
    expect(outcome(forged, [mallory])).not.toBe('valid');
  });

  it.each<[string, Buffer[], string]>([
    ['cA and keyCertSign', [basicConstraints(true), keyUsage(5)], 'valid'],
    ['cA without key usage', [basicConstraints(true)], 'valid'],
    ['cA that is not critical', [basicConstraints(true, null, false), keyUsage(5)], 'valid'],
    ['no extension at all', [], 'basic-constraints'],
    ['cA false', [basicConstraints(false), keyUsage(5)], 'basic-constraints'],
    ['no keyCertSign', [basicConstraints(true), keyUsage(0, 6)], 'key-usage'],
    ['emailProtection', [basicConstraints(true), extendedKeyUsage(false, email)], 'valid'],
    ['anyExtendedKeyUsage', [basicConstraints(true), extendedKeyUsage(false, '2.5.29.37.0')], 'valid'],
    [
      'another purpose',
      [basicConstraints(true), extendedKeyUsage(false, '1.3.6.1.5.5.7.3.1')],
      'extended-key-usage',
    ],
    ['an unknown extension', [basicConstraints(true), extension('1.2.3.4', nullValue())], 'valid'],
    [
      'an unknown critical extension',
      [basicConstraints(true), extension('1.2.3.4', nullValue(), true)],
      'unknown-critical-extension',
    ],
    ['unreadable policies', [basicConstraints(true), extension('2.5.29.32', nullValue())], 'policy'],
    [
      'unreadable name constraints',
      [basicConstraints(true), extension('2.5.29.30', nullValue())],
      'name-constraints',
    ],
  ])('issuing with %s', (_, extensions, expected) => {
    const issuer = makeCertificate({
      subject: 'CA',
      issuer: 'Root',
      key: ecKey('CA'),
      issuerKey: ecKey('Root'),
      extensions,
    });
    expect(outcome(end, [issuer])).toBe(expected);
  });

  it.each<[string, Buffer[], string]>([
    ['emailProtection', [extendedKeyUsage(true, email)], 'valid'],
    ['another purpose', [extendedKeyUsage(true, '1.3.6.1.5.5.7.3.1')], 'extended-key-usage'],
    ['a critical subjectAltName', [extension('2.5.29.17', Buffer.from('3003810161', 'hex'), true)], 'valid'],
    [
      'an unknown critical extension',
      [extension('1.2.3.4', nullValue(), true)],
      'unknown-critical-extension',
    ],
    [
      'critical CRL distribution points, which nothing reads yet',
      [extension('2.5.29.31', nullValue(), true)],
      'unknown-critical-extension',
    ],
    ['a critical issuerAltName', [extension('2.5.29.18', nullValue(), true)], 'unknown-critical-extension'],
    ['a CA of its own', [basicConstraints(true, 0)], 'valid'],
  ])('at the end with %s', (_, extensions, expected) => {
    expect(outcome(makeEnd('End', 'CA', extensions), [ca])).toBe(expected);
  });

  it('with a critical extended key usage is refused where no purpose is asked for', () => {
    const critical = makeEnd('End', 'CA', [extendedKeyUsage(true, email)]);
    const report = validatePath({ certificate: critical, pool: [ca], anchors: [root], at: now });
    expect(report).toMatchObject({
      problems: [{ check: 'unknown-critical-extension', certificate: critical }],
    });
  });

  it('is judged at the time that is asked for, both ends included', () => {
    expect(outcome(end, [ca], { at: from })).toBe('valid');
    expect(outcome(end, [ca], { at: until })).toBe('valid');
    expect(outcome(end, [ca], { at: new Date(from.getTime() - 1) })).toBe('validity validity validity');
    expect(outcome(end, [ca], { at: new Date(Number.NaN) })).toBe('validity validity validity');
  });

  it('is told with every check that failed', () => {
    const bad = makeCertificate({
      subject: 'CA',
      issuer: 'Root',
      key: ecKey('CA'),
      issuerKey: ecKey('Root'),
      notAfter: new Date('2021-01-01'),
      extensions: [keyUsage(0)],
    });
    const report = judge(end, [bad]);
    expect(report).toMatchObject({
      problems: [
        { check: 'basic-constraints', certificate: bad, text: expect.stringContaining('CN=CA') },
        { check: 'key-usage', certificate: bad },
        { check: 'validity', certificate: bad },
      ],
    });
  });
});

describe('the anchor', () => {
  const end = makeEnd('End', 'Anchor');
  const anchorWith = (...extensions: Buffer[]) =>
    makeCertificate({ subject: 'Anchor', key: ecKey('Anchor'), extensions });

  it.each<[string, Buffer[], string]>([
    ['is a CA', [basicConstraints(true)], 'valid'],
    ['of version 1 or without any extension is believed', [], 'valid'],
    ['is no CA', [basicConstraints(false)], 'basic-constraints'],
    [
      'was pinned as an end entity',
      [keyUsage(0), subjectAltName(generalName.mailbox('a@b.example'))],
      'basic-constraints key-usage',
    ],
    ['may not sign certificates', [basicConstraints(true), keyUsage(0)], 'key-usage'],
    [
      'is not for mail',
      [basicConstraints(true), extendedKeyUsage(false, '1.3.6.1.5.5.7.3.1')],
      'extended-key-usage',
    ],
    [
      'has an unknown critical extension',
      [basicConstraints(true), extension('1.2.3.4', nullValue(), true)],
      'unknown-critical-extension',
    ],
  ])('%s', (_, extensions, expected) => {
    expect(outcome(end, [], { anchors: [anchorWith(...extensions)] })).toBe(expected);
  });

  it('limits the path by its own path length and name constraints', () => {
    const ca = makeCa('CA', 'Anchor');
    const below = makeEnd('End', 'CA', [subjectAltName(generalName.mailbox('a@other.example'))]);
    const short = anchorWith(basicConstraints(true, 0));
    const narrow = anchorWith(basicConstraints(true), nameConstraints([generalName.mailbox('own.example')]));
    expect(outcome(below, [ca], { anchors: [anchorWith(basicConstraints(true))] })).toBe('valid');
    expect(outcome(below, [ca], { anchors: [short] })).toBe('path-length');
    expect(outcome(below, [ca], { anchors: [narrow] })).toBe('name-constraints');
  });

  it('that has expired is believed no longer', () => {
    const old = makeCertificate({
      subject: 'Anchor',
      key: ecKey('Anchor'),
      notAfter: new Date('2021-01-01'),
    });
    expect(outcome(end, [], { anchors: [old] })).toBe('validity');
  });

  it('inhibits any policy and requires explicit ones for what is below it', () => {
    const explicit = [basicConstraints(true), requireExplicitPolicy(0)];
    const anyPolicy = makeEnd('End', 'Anchor', [certificatePolicies('2.5.29.32.0')]);
    expect(outcome(end, [], { anchors: [anchorWith(...explicit)] })).toContain('policy');
    expect(outcome(anyPolicy, [], { anchors: [anchorWith(...explicit)] })).toBe('valid');
    const noAny = anchorWith(...explicit, extension('2.5.29.54', integer(0), true));
    expect(outcome(anyPolicy, [], { anchors: [noAny] })).toContain('policy');
  });
});

describe('path length (RFC 5280 §6.1.4 (l) and (m))', () => {
  it('counts certificates of others only', () => {
    const first = makeCa('First', 'Root', []);
    const limited = makeCertificate({
      subject: 'Limited',
      issuer: 'First',
      key: ecKey('Limited'),
      issuerKey: ecKey('First'),
      extensions: [basicConstraints(true, 0)],
    });
    const rollover = makeCertificate({
      subject: 'Limited',
      issuer: 'Limited',
      key: ecKey('Limited 2'),
      issuerKey: ecKey('Limited'),
      extensions: [basicConstraints(true)],
    });
    const end = makeCertificate({
      subject: 'End',
      issuer: 'Limited',
      key: ecKey('End'),
      issuerKey: ecKey('Limited 2'),
    });
    expect(outcome(end, [first, limited, rollover])).toBe('valid');
    const sub = makeCa('Sub', 'Limited');
    const below = makeEnd('End', 'Sub');
    expect(outcome(below, [first, limited, sub])).toBe('path-length');
  });
});

describe('path building', () => {
  it('tries the next candidate when the first one fails', () => {
    const expired = makeCertificate({
      subject: 'CA',
      issuer: 'Root',
      key: ecKey('CA'),
      issuerKey: ecKey('Root'),
      notAfter: new Date('2021-01-01'),
      extensions: [basicConstraints(true)],
    });
    const noCa = makeEnd('CA', 'Root');
    const good = makeCa('CA', 'Root');
    expect(outcome(makeEnd('End', 'CA'), [expired, noCa, good])).toBe('valid');
  });

  it('prefers the issuer whose key identifier fits, and works when none fits', () => {
    const id = Buffer.from('one');
    const ca = makeCa('CA', 'Root', keyIds(Buffer.from('two'), null));
    const end = makeEnd('End', 'CA', keyIds(null, id));
    expect(outcome(end, [ca])).toBe('valid');
  });

  it('finds names in another case and encoding', () => {
    const ca = makeCa('CA of EXAMPLE', 'Root');
    const end = makeCertificate({
      subject: 'End',
      issuer: 'ca  of example',
      key: ecKey('End'),
      issuerKey: ecKey('CA of EXAMPLE'),
    });
    expect(outcome(end, [ca])).toBe('valid');
  });

  it('keeps the index of a pool that is used again', () => {
    const pool = new CertificateSet([makeCa('CA', 'Root')]);
    expect(CertificateSet.of(pool)).toBe(pool);
    expect(outcome(makeEnd('End', 'CA'), pool)).toBe('valid');
  });

  it('does not run in circles through cross certificates', () => {
    const circle = ['A', 'B', 'C'].flatMap((subject) =>
      ['A', 'B', 'C'].map((issuer) => makeCa(subject, issuer)),
    );
    const end = makeEnd('End', 'A');
    expect(outcome(end, circle)).toBe('no-path');
    expect(outcome(end, [...circle, makeCa('C', 'Root')])).toBe('valid');
  });

  it('bounds a pool with exponentially many paths that lead nowhere', () => {
    // Nine layers of three keys each, every one certified by all three of the layer above: 3^9 paths.
    const pool: Certificate[] = [];
    for (let layer = 0; layer < 9; layer++) {
      for (let upper = 0; upper < 3; upper++) {
        for (let lower = 0; lower < 3; lower++) {
          pool.push(
            makeCertificate({
              subject: `L${layer}`,
              issuer: `L${layer + 1}`,
              key: ecKey(`L${layer}.${lower}`),
              issuerKey: ecKey(`L${layer + 1}.${upper}`),
              extensions: [basicConstraints(true)],
            }),
          );
        }
      }
    }
    const end = makeCertificate({
      subject: 'End',
      issuer: 'L0',
      key: ecKey('End'),
      issuerKey: ecKey('L0.0'),
    });
    expect(outcome(end, pool)).toContain('too-complex');
  });

  it('bounds a pool with exponentially many paths that reach an anchor and fail there', () => {
    const anchor = makeCertificate({ subject: 'R3', key: ecKey('R3'), extensions: [basicConstraints(true)] });
    const pool: Certificate[] = [];
    for (let layer = 0; layer < 3; layer++) {
      for (let copy = 0; copy < 5; copy++) {
        // No CA, and as many certificates for the same key as one likes.
        pool.push(
          makeCertificate({
            subject: `R${layer}`,
            issuer: `R${layer + 1}`,
            key: ecKey(`R${layer}`),
            issuerKey: ecKey(`R${layer + 1}`),
            serial: copy + 1,
          }),
        );
      }
    }
    const report = judge(makeEnd('End', 'R0'), pool, { anchors: [anchor] });
    expect(report).toMatchObject({ outcome: 'invalid' });
    expect(outcome(makeEnd('End', 'R0'), pool, { anchors: [anchor] })).toContain('too-complex');
  });

  it('bounds the signatures that a pool of strangers makes it verify', () => {
    const strangers = Array.from({ length: 300 }, (_, i) =>
      makeCertificate({
        subject: 'CA',
        key: ecKey('Mallory'),
        serial: i + 1,
        issuerKey: ecKey('Mallory'),
        extensions: [extension('1.2.3', octetString(Buffer.from([i & 255])))],
      }),
    );
    const keys = strangers.map((_, i) =>
      makeCertificate({ subject: 'CA', key: ecKey(`Mallory ${i}`), extensions: [basicConstraints(true)] }),
    );
    expect(outcome(makeEnd('End', 'CA'), keys)).toContain('too-complex');
    expect(outcome(makeEnd('End', 'CA'), strangers)).toBe('signature');
  });

  it('stops at twelve certificates', () => {
    const chain = (length: number) => {
      const names = ['Root', ...Array.from({ length: length - 2 }, (_, i) => `Deep ${i}`)];
      const pool = names.slice(1).map((name, i) => makeCa(name, names[i]));
      return outcome(makeEnd('Last', names.at(-1) ?? ''), pool);
    };
    expect(chain(12)).toBe('valid');
    expect(chain(13)).toContain('too-complex');
  });
});
