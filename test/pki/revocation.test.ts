import { describe, expect, it } from 'vitest';
import { nullValue, octetString, sequence } from '../../src/asn1/writer.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import type { CertificateRevocationList } from '../../src/pki/crl.ts';
import { validatePath } from '../../src/pki/path.ts';
import { checkRevocation, type RevocationRequest } from '../../src/pki/revocation.ts';
import type { CertificateRevocation, RevocationReport } from '../../src/pki/revocation-report.ts';
import {
  basicConstraints,
  ecKey,
  extension,
  keyUsage,
  makeCa,
  makeCertificate,
  makeEnd,
  now,
} from './make-certificate.ts';
import {
  type CrlRecipe,
  cRLDistributionPoints,
  freshestCRL,
  hour,
  later,
  makeCrl,
  type PointRecipe,
} from './make-crl.ts';

const root = makeCa('Root');
const ca = makeCa('CA', 'Root');

/** The serial number that stands for the end entity in CRLs. */
const SERIAL = 77;

function end(...extensions: Buffer[]): Certificate {
  return makeCertificate({
    subject: 'End',
    issuer: 'CA',
    key: ecKey('End'),
    issuerKey: ecKey('CA'),
    serial: SERIAL,
    extensions,
  });
}

function crl(issuer: string, more: Partial<CrlRecipe> = {}): CertificateRevocationList {
  return makeCrl({ issuer, key: ecKey(issuer), number: 1, ...more });
}

const rootCrl = crl('Root');
const listed = { entries: [{ serial: SERIAL, reason: 1 }] };

function check(
  certificate: Certificate,
  crls: CertificateRevocationList[],
  more: Partial<RevocationRequest> & { withoutRootCrl?: boolean } = {},
): RevocationReport {
  const { withoutRootCrl = false, pool = [], ...rest } = more;
  const report = validatePath({ certificate, pool: [ca, ...pool], anchors: [root], at: now });
  if (report.outcome !== 'valid') throw new Error(report.problems.map(({ text }) => text).join('\n'));
  const all = withoutRootCrl ? crls : [rootCrl, ...crls];
  return checkRevocation({ path: report.path, crls: all, ocspResponses: [], pool, at: now, ...rest });
}

function ofEnd(report: RevocationReport): CertificateRevocation | undefined {
  return report.certificates[0]?.revocation;
}

function verdict(...args: Parameters<typeof check>): RevocationReport['verdict'] {
  return check(...args).verdict;
}

/** The checks that kept the end entity's status from being known. */
function why(...args: Parameters<typeof check>): string[] {
  const status = ofEnd(check(...args));
  return status?.status === 'undetermined' ? [...new Set(status.problems.map((one) => one.check))] : [];
}

describe('revocation of a path', () => {
  it('is good when every certificate below the anchor is, until the first CRL grows old', () => {
    const report = check(end(), [crl('CA', { nextUpdate: later(2 * hour) })]);
    expect(report).toMatchObject({
      verdict: 'good',
      freshUntil: later(2 * hour),
      certificates: [
        { revocation: { status: 'good', by: 'crl', freshUntil: later(2 * hour) } },
        { certificate: ca, revocation: { status: 'good', freshUntil: later(24 * hour) } },
      ],
    });
  });

  it('tells when and why a certificate was revoked', () => {
    const report = check(end(), [crl('CA', listed)]);
    expect(report).toMatchObject({ verdict: 'revoked', freshUntil: null });
    expect(ofEnd(report)).toEqual({
      status: 'revoked',
      by: 'crl',
      revocationDate: later(-48 * hour),
      reason: 'keyCompromise',
      invalidityDate: null,
    });
  });

  it('is revoked when only a CA is, whatever that CA says', () => {
    const serial = ca.serialNumber;
    const report = check(end(), [crl('Root', { entries: [{ serial }] }), crl('CA')], {
      withoutRootCrl: true,
    });
    expect(report.verdict).toBe('revoked');
    expect(report.certificates.map(({ revocation }) => revocation.status)).toEqual(['good', 'revoked']);
  });

  it('is unchecked when nothing is known of one of them', () => {
    expect(check(end(), [crl('CA')], { withoutRootCrl: true }).verdict).toBe('unchecked');
    expect(why(end(), [])).toEqual(['no-information']);
  });

  it('of an anchor alone is unchecked: nobody could revoke it', () => {
    const report = checkRevocation({ path: [root], crls: [rootCrl], ocspResponses: [], pool: [], at: now });
    expect(report).toEqual({ verdict: 'unchecked', certificates: [], freshUntil: null, missing: [] });
  });

  it('does not change with the order of the CRLs', () => {
    const older = crl('CA', { thisUpdate: later(-10 * hour) });
    const newer = crl('CA', { ...listed, thisUpdate: later(-hour) });
    expect(verdict(end(), [older, newer])).toBe('revoked');
    expect(verdict(end(), [newer, older])).toBe('revoked');
  });
});

describe('the age of a CRL', () => {
  it('that has expired proves nothing, not even a revocation', () => {
    const old = { thisUpdate: later(-9 * hour), nextUpdate: later(-1) };
    expect(why(end(), [crl('CA', old)])).toEqual(['freshness']);
    expect(verdict(end(), [crl('CA', { ...old, ...listed })])).toBe('unchecked');
  });

  it('that comes from the future proves nothing; a clock may be a little ahead', () => {
    expect(why(end(), [crl('CA', { thisUpdate: later(hour) })])).toEqual(['freshness']);
    expect(verdict(end(), [crl('CA', { thisUpdate: later(60_000) })])).toBe('good');
  });

  it('without next update counts for an hour', () => {
    const at = (ms: number) => crl('CA', { nextUpdate: null, thisUpdate: later(ms) });
    expect(check(end(), [at(-hour / 2)]).freshUntil).toEqual(later(hour / 2));
    expect(why(end(), [at(-2 * hour)])).toEqual(['freshness']);
  });

  it('may be limited by who asks', () => {
    const crls = [crl('CA', { thisUpdate: later(-5 * hour) })];
    expect(verdict(end(), crls, { maxAgeMs: 6 * hour })).toBe('good');
    expect(why(end(), crls, { maxAgeMs: 4 * hour })).toEqual(['freshness']);
  });

  it('is never right at a time that is none', () => {
    expect(verdict(end(), [crl('CA')], { at: new Date(Number.NaN) })).toBe('unchecked');
  });
});

describe('who may sign a CRL', () => {
  it('not somebody else with the name of the CA', () => {
    expect(why(end(), [crl('CA', { key: ecKey('mallory') })])).toEqual(['signature']);
  });

  it('not another CA, under its own name', () => {
    const sub = makeCa('Other', 'Root');
    expect(why(end(), [crl('Other', listed)], { pool: [sub] })).toEqual(['no-information']);
  });

  it('not a CA whose key usage does not let it', () => {
    const mute = makeCertificate({
      subject: 'Mute',
      issuer: 'Root',
      key: ecKey('Mute'),
      issuerKey: ecKey('Root'),
      extensions: [basicConstraints(true), keyUsage(5)],
    });
    const certificate = makeEnd('End', 'Mute');
    const report = check(certificate, [crl('Mute')], { pool: [mute] });
    expect(ofEnd(report)).toMatchObject({ status: 'undetermined', problems: [{ check: 'signer' }] });
  });

  const crlKey = (usage: number, serial: number, issuer = 'Root') =>
    makeCertificate({
      subject: 'CA',
      issuer,
      key: ecKey('CA for CRLs'),
      issuerKey: ecKey(issuer),
      serial,
      extensions: [keyUsage(usage)],
    });
  const byOtherKey = (more: Partial<CrlRecipe> = {}) => crl('CA', { key: ecKey('CA for CRLs'), ...more });

  it('another key of the CA, certified for it', () => {
    expect(verdict(end(), [byOtherKey()], { pool: [crlKey(6, 500)] })).toBe('good');
    expect(verdict(end(), [byOtherKey(listed)], { pool: [crlKey(6, 500)] })).toBe('revoked');
    expect(why(end(), [byOtherKey()], { pool: [crlKey(0, 500)] })).toEqual(['signer']);
    // Only the certificate of the CA itself is known by that name.
    expect(why(end(), [byOtherKey()])).toEqual(['signature']);
  });

  it('not one whose own certificate has been revoked', () => {
    const crls = [crl('Root', { entries: [{ serial: 500 }] }), byOtherKey(listed)];
    const more = { pool: [crlKey(6, 500)], withoutRootCrl: true };
    expect(why(end(), crls, more)).toEqual(['signer']);
  });

  it('of whom nothing is known: bad news is believed, good news is not', () => {
    const more = { pool: [crlKey(6, 500)], withoutRootCrl: true };
    expect(why(end(), [byOtherKey()], more)).toEqual(['signer']);
    expect(verdict(end(), [byOtherKey(listed)], more)).toBe('revoked');
  });

  it('not a signer below another anchor (RFC 5280 §6.3.3 (f))', () => {
    const stranger = makeCa('Stranger');
    const pool = [stranger, crlKey(6, 500, 'Stranger')];
    expect(why(end(), [byOtherKey(), crl('Stranger')], { pool })).toEqual(['signer']);
    // Not even bad news, which a signer without any known status would be believed.
    expect(why(end(), [byOtherKey(listed), crl('Stranger')], { pool })).toEqual(['signer']);
  });

  it('not one whose certificate has expired', () => {
    const old = makeCertificate({
      subject: 'CA',
      issuer: 'Root',
      key: ecKey('CA for CRLs'),
      issuerKey: ecKey('Root'),
      notAfter: later(-hour),
      extensions: [keyUsage(6)],
    });
    expect(why(end(), [byOtherKey()], { pool: [old] })).toEqual(['signer']);
    expect(why(end(), [byOtherKey(listed)], { pool: [old] })).toEqual(['signer']);
  });

  it('nobody speaks for himself: a stolen CRL key cannot say that it was not revoked', () => {
    // The certificate of the key is issued under the name of the CA, so the key signs its own absolution.
    const rolled = crlKey(6, 500, 'CA');
    const absolution = byOtherKey();
    expect(why(end(), [absolution], { pool: [rolled] })).toEqual(['signer']);
    expect(verdict(end(), [absolution, crl('CA')], { pool: [rolled] })).toBe('good');
  });
});

describe('an unknown critical extension', () => {
  const unknown = extension('1.2.3.4', nullValue(), true);

  it.each([
    ['of the CRL', { extensions: [unknown] }],
    ['of an entry about another certificate', { entries: [{ serial: 1, extensions: [unknown] }] }],
  ])('%s makes the CRL say nothing', (_, more) => {
    expect(why(end(), [crl('CA', more)])).toEqual(['unknown-critical-extension']);
  });
});

describe('the scope of a CRL', () => {
  const userOnly = crl('CA', { scope: { only: 'user' } });
  const caOnly = crl('CA', { scope: { only: 'ca' } });

  it('of users is not about CAs, and the other way round', () => {
    expect(verdict(end(), [userOnly])).toBe('good');
    expect(why(end(), [caOnly])).toEqual(['scope']);
    expect(why(end(), [crl('CA', { scope: { only: 'attribute' } })])).toEqual(['scope']);
    const sub = makeCa('Sub', 'CA');
    expect(why(sub, [userOnly])).toEqual(['scope']);
    expect(verdict(sub, [caOnly])).toBe('good');
  });

  it.each<[string, PointRecipe[], CrlRecipe['scope'], 'good' | 'unchecked']>([
    ['the same URI', [{ uri: 'http://a.example/1' }], { uri: 'http://a.example/1' }, 'good'],
    ['another URI', [{ uri: 'http://a.example/1' }], { uri: 'http://a.example/2' }, 'unchecked'],
    [
      'one of several names',
      [{ uri: 'http://a/', names: ['P'] }],
      { uri: 'http://b/', names: ['P'] },
      'good',
    ],
    ['a name written differently', [{ names: ['Place  One'] }], { names: ['place one'] }, 'good'],
    ['the second of two points', [{ names: ['P'] }, { names: ['Q'] }], { names: ['Q'] }, 'good'],
    ['no point in the certificate', [], { names: ['P'] }, 'unchecked'],
    ['no point, and the CRL is for the name of the issuer', [], { names: ['CA'] }, 'good'],
    ['no point in the CRL', [{ names: ['P'] }], undefined, 'good'],
  ])('distribution points: %s', (_, points, scope, expected) => {
    const certificate = points.length === 0 ? end() : end(cRLDistributionPoints(...points));
    const one = crl('CA', scope === undefined ? {} : { scope });
    expect(verdict(certificate, [one])).toBe(expected);
  });

  it('of a distribution point that cannot be read leaves the certificate unchecked', () => {
    const broken = end(extension('2.5.29.31', sequence(octetString(Buffer.alloc(1)))));
    expect(why(broken, [crl('CA')])).toEqual(['unreadable']);
  });
});

describe('reasons', () => {
  const compromise = [1, 2, 8];
  const others = [3, 4, 5, 6, 7];
  const part = (reasons: number[], more: Partial<CrlRecipe> = {}) =>
    crl('CA', { scope: { reasons }, ...more });

  it('must all be covered, by one CRL or by several', () => {
    expect(why(end(), [part(compromise)])).toEqual(['scope']);
    expect(verdict(end(), [part(compromise), part(others)])).toBe('good');
    expect(verdict(end(), [part(compromise), part(others, listed)])).toBe('revoked');
    expect(why(end(), [part([1]), part([3, 4, 5, 6, 7])])).toEqual(['scope']);
  });

  it('of a distribution point limit what its CRL covers', () => {
    const point = cRLDistributionPoints({ names: ['P'], reasons: [1] });
    expect(why(end(point), [crl('CA', { scope: { names: ['P'] } })])).toEqual(['scope']);
    expect(verdict(end(point), [crl('CA', { scope: { names: ['P'] } }), crl('CA', { number: 2 })])).toBe(
      'good',
    );
  });
});

describe('several CRLs that may speak', () => {
  it('one that says revoked is believed, although another one covers every reason', () => {
    const userOnly = crl('CA', { scope: { only: 'user' }, thisUpdate: later(-60_000) });
    expect(verdict(end(), [userOnly, crl('CA', listed)])).toBe('revoked');
    expect(verdict(end(), [crl('CA', { scope: { only: 'user' }, ...listed }), crl('CA')])).toBe('revoked');
  });

  it('of one scope: the newest speaks, so a hold can end', () => {
    const hold = crl('CA', { thisUpdate: later(-9 * hour), entries: [{ serial: SERIAL, reason: 6 }] });
    expect(verdict(end(), [hold, crl('CA')])).toBe('good');
  });
});

describe('indirect CRLs', () => {
  const issuer = makeCertificate({
    subject: 'CRL Issuer',
    issuer: 'Root',
    key: ecKey('CRL Issuer'),
    issuerKey: ecKey('Root'),
    extensions: [keyUsage(6)],
  });
  const pointed = end(cRLDistributionPoints({ names: ['P'], issuers: ['CRL Issuer'] }));
  const indirect = (more: Partial<CrlRecipe> = {}) =>
    crl('CRL Issuer', { scope: { names: ['P'], indirect: true }, ...more });
  const pool = [issuer];

  it('speak where the certificate names their issuer', () => {
    expect(verdict(pointed, [indirect()], { pool })).toBe('good');
    const entries = [{ serial: SERIAL, issuers: ['CA'] }];
    expect(verdict(pointed, [indirect({ entries })], { pool })).toBe('revoked');
  });

  it('say nothing about the same serial number of another issuer', () => {
    const entries = [{ serial: SERIAL }, { serial: SERIAL, issuers: ['Other'] }];
    expect(verdict(pointed, [indirect({ entries })], { pool })).toBe('good');
  });

  it('say nothing where the certificate does not name them', () => {
    expect(why(end(), [indirect()], { pool })).toEqual(['no-information']);
    const elsewhere = end(cRLDistributionPoints({ names: ['P'], issuers: ['Somebody'] }));
    expect(why(elsewhere, [indirect()], { pool })).toEqual(['no-information']);
  });

  it('must say that they are indirect', () => {
    expect(why(pointed, [crl('CRL Issuer', { scope: { names: ['P'] } })], { pool })).toEqual(['scope']);
  });

  it('without a place in the certificate match by the name of their issuer', () => {
    const certificate = end(cRLDistributionPoints({ issuers: ['CRL Issuer'] }));
    const named = (name: string) => crl('CRL Issuer', { scope: { names: [name], indirect: true } });
    expect(verdict(certificate, [named('CRL Issuer')], { pool })).toBe('good');
    expect(why(certificate, [named('P')], { pool })).toEqual(['scope']);
  });
});

describe('delta CRLs', () => {
  const base = (more: Partial<CrlRecipe> = {}) =>
    crl('CA', { number: 5, thisUpdate: later(-9 * hour), ...more });
  const delta = (more: Partial<CrlRecipe> = {}) => crl('CA', { number: 6, base: 5, ...more });
  const hold = { entries: [{ serial: SERIAL, reason: 6 }] };
  const remove = { entries: [{ serial: SERIAL, reason: 8 }] };

  it('add a revocation, and take a hold back', () => {
    expect(verdict(end(), [base(), delta()])).toBe('good');
    expect(verdict(end(), [base(), delta(listed)])).toBe('revoked');
    expect(verdict(end(), [base(hold)])).toBe('revoked');
    expect(verdict(end(), [base(hold), delta(remove)])).toBe('good');
    expect(verdict(end(), [base(hold), delta()])).toBe('revoked');
  });

  it('say nothing alone', () => {
    expect(why(end(), [delta()])).toEqual(['no-information']);
  });

  it.each<[string, Partial<CrlRecipe>]>([
    ['of a later base', { base: 6, number: 7 }],
    ['older than the complete CRL', { base: 3, number: 5 }],
    ['of another scope', { scope: { names: ['CA'] } }],
    ['signed by somebody else', { key: ecKey('mallory') }],
    ['that has expired', { thisUpdate: later(-9 * hour), nextUpdate: later(-hour) }],
    ['with an unknown critical extension', { extensions: [extension('1.2.3.4', nullValue(), true)] }],
    ['of another key identifier', { extensions: [extension('2.5.29.35', sequence())] }],
  ])('cannot take a hold back: a delta %s', (_, more) => {
    expect(verdict(end(), [base(hold), delta({ ...remove, ...more })])).toBe('revoked');
  });

  it('of which the newest is used', () => {
    const newest = delta({ number: 8, thisUpdate: later(-60_000), ...remove });
    expect(verdict(end(), [base(), newest, delta({ number: 7, ...hold })])).toBe('good');
  });

  it('keep an expired complete CRL in use only where deltas are published', () => {
    const old = { nextUpdate: later(-hour) };
    const named = freshestCRL({ names: ['Deltas'] });
    expect(why(end(), [base(old), delta()])).toEqual(['freshness']);
    expect(verdict(end(named), [base(old), delta()])).toBe('good');
    expect(verdict(end(), [base({ ...old, extensions: [named] }), delta()])).toBe('good');
    expect(why(end(named), [base(old)])).toEqual(['freshness']);
    // A delta excuses age, not a date in the future.
    expect(why(end(named), [base({ thisUpdate: later(hour) }), delta()])).toEqual(['freshness']);
  });
});

describe('floods', () => {
  it('of CRLs with a false signature end in time, and prove nothing', () => {
    const flood = Array.from({ length: 300 }, (_, i) =>
      crl('CA', { key: ecKey('mallory'), number: i, thisUpdate: later(-i * 1_000) }),
    );
    const report = check(end(), flood);
    expect(report.verdict).toBe('unchecked');
    expect(ofEnd(report)).toMatchObject({ status: 'undetermined' });
  });

  it('of certificates with the name of the CRL issuer end in time', () => {
    const pool = Array.from({ length: 300 }, (_, i) =>
      makeCertificate({
        subject: 'CA',
        issuer: 'Root',
        key: ecKey(`${i % 3}`),
        issuerKey: ecKey('mallory'),
        serial: i,
      }),
    );
    expect(why(end(), [crl('CA', { key: ecKey('nobody') })], { pool })).toContain('too-complex');
  });

  it('of signers that rest on each other in a circle end in time', () => {
    const other = (name: string, names: string) =>
      makeCertificate({
        subject: name,
        issuer: 'Root',
        key: ecKey(name),
        issuerKey: ecKey('Root'),
        extensions: [keyUsage(6), cRLDistributionPoints({ names: ['P'], issuers: [names] })],
      });
    const pool = [other('A', 'B'), other('B', 'A')];
    const crls = ['A', 'B'].map((name) => crl(name, { scope: { names: ['P'], indirect: true } }));
    const certificate = end(cRLDistributionPoints({ names: ['P'], issuers: ['A'] }));
    expect(why(certificate, crls, { pool, withoutRootCrl: true })).toEqual(['signer']);
  });
});
