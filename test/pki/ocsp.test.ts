import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { explicit, nullValue, octetString } from '../../src/asn1/writer.ts';
import { SealgateError } from '../../src/errors.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { parseOcspResponse } from '../../src/pki/ocsp.ts';
import type { CertIdDigest } from '../../src/pki/ocsp-cert-id.ts';
import { writeOcspRequest } from '../../src/pki/ocsp-request.ts';
import type { OcspEvidence } from '../../src/pki/ocsp-validation.ts';
import { writePem } from '../../src/pki/pem.ts';
import { checkRevocation, type RevocationRequest } from '../../src/pki/revocation.ts';
import type { CertificateRevocation } from '../../src/pki/revocation-report.ts';
import {
  ecKey,
  extendedKeyUsage,
  extension,
  keyUsage,
  makeCa,
  makeCertificate,
  makeEnd,
  now,
} from './make-certificate.ts';
import { hour, later, makeCrl } from './make-crl.ts';
import { makeOcsp, makeOcspDer, type OcspRecipe, refusal } from './make-ocsp.ts';

const root = makeCa('Root');
const end = makeEnd('End', 'Root');
const other = makeEnd('Other', 'Root');

const ocspSigning = '1.3.6.1.5.5.7.3.9';
const noCheck = extension('1.3.6.1.5.5.7.48.1.5', nullValue());

function responder(name: string, issuer: string, ...extensions: Buffer[]): Certificate {
  return makeCertificate({
    subject: name,
    issuer,
    key: ecKey(name),
    issuerKey: ecKey(issuer),
    serial: 900,
    extensions,
  });
}
const delegate = responder('Delegate', 'Root', extendedKeyUsage(true, ocspSigning), noCheck);

function status(
  responses: OcspEvidence[],
  more: Partial<RevocationRequest> = {},
): CertificateRevocation | undefined {
  const report = checkRevocation({
    path: [end, root],
    crls: [],
    ocspResponses: responses,
    pool: [],
    at: now,
    ...more,
  });
  return report.certificates[0]?.revocation;
}

const base: OcspRecipe = { certificate: end, issuer: root, key: ecKey('Root') };
const answer = (more: Partial<OcspRecipe> = {}, nonce: Buffer | null = null): OcspEvidence => ({
  response: makeOcsp({ ...base, ...more }),
  nonce,
});
const byDelegate = (certificate: Certificate, name: string, more: Partial<OcspRecipe> = {}): OcspEvidence =>
  answer({ key: ecKey(name), responder: certificate, certificates: [certificate], ...more });

/** Of the first problem with the response; problems with CRLs come after it. */
function why(responses: OcspEvidence[], more: Partial<RevocationRequest> = {}): string | undefined {
  const result = status(responses, more);
  return result?.status === 'undetermined' ? result.problems[0]?.check : result?.status;
}

describe('an OCSP response signed by the issuer', () => {
  it('says that a certificate is good, until the next one', () => {
    expect(status([answer()])).toEqual({ status: 'good', by: 'ocsp', freshUntil: later(24 * hour) });
    expect(status([answer({ byName: true })])?.status).toBe('good');
  });

  it('says when and why it was revoked', () => {
    expect(status([answer({ status: 'revoked' })])).toEqual({
      status: 'revoked',
      by: 'ocsp',
      revocationDate: later(-48 * hour),
      reason: 'keyCompromise',
      invalidityDate: null,
    });
  });

  it.each<CertIdDigest>(['sha1', 'sha256', 'sha384', 'sha512'])(
    'may name the certificate by %s',
    (digest) => {
      expect(status([answer({ digest })])?.status).toBe('good');
    },
  );

  it('that does not know the certificate leaves it open', () => {
    expect(why([answer({ status: 'unknown' })])).toBe('unknown-certificate');
  });

  it('about another certificate says nothing', () => {
    expect(why([answer({ certificate: other })])).toBe('no-information');
  });

  it('about the same serial number of a CA with the same name and another key says nothing', () => {
    const twin = makeCertificate({ subject: 'Root', key: ecKey('Twin') });
    expect(why([answer({ issuer: twin, responder: root })])).toBe('no-information');
  });
});

describe('a CA that has two names for one key', () => {
  it('says nothing about the certificate with the same serial number under the other name', () => {
    const serial = 4711;
    const make = (issuer: string) =>
      makeCertificate({ subject: 'End', issuer, key: ecKey('End'), issuerKey: ecKey('Root'), serial });
    const path = [make('Root'), root];
    expect(why([answer({ certificate: make('Root') })], { path })).toBe('good');
    expect(why([answer({ certificate: make('Root Two') })], { path })).toBe('no-information');
  });
});

describe('the age of an OCSP response', () => {
  it.each<[string, Partial<OcspRecipe>]>([
    ['expired', { nextUpdate: later(-1) }],
    ['of the future', { thisUpdate: later(hour) }],
    ['produced in the future', { producedAt: later(hour) }],
    ['without next update, two hours old', { nextUpdate: null, thisUpdate: later(-2 * hour) }],
  ])('%s: it says nothing, not even revoked', (_, more) => {
    expect(why([answer(more)])).toBe('freshness');
    expect(why([answer({ ...more, status: 'revoked' })])).toBe('freshness');
  });

  it('without next update counts for an hour, and may be limited by who asks', () => {
    expect(status([answer({ nextUpdate: null, thisUpdate: later(-hour / 2) })])?.status).toBe('good');
    expect(why([answer()], { maxAgeMs: hour / 2 })).toBe('freshness');
  });

  it('the newest answer counts', () => {
    const old = answer({ thisUpdate: later(-9 * hour) });
    const revoked = answer({ status: 'revoked' });
    expect(status([old, revoked])?.status).toBe('revoked');
    expect(status([revoked, old])?.status).toBe('revoked');
  });
});

describe('who may sign an OCSP response', () => {
  it('one to whom the issuer gave the right', () => {
    expect(status([byDelegate(delegate, 'Delegate')])?.status).toBe('good');
    expect(status([byDelegate(delegate, 'Delegate', { byName: true })])?.status).toBe('good');
  });

  it('also with its certificate from the pool', () => {
    const bare = byDelegate(delegate, 'Delegate', { certificates: [], byName: true });
    expect(status([bare], { pool: [delegate] })?.status).toBe('good');
    expect(why([bare])).toBe('signer');
  });

  const eku = (critical: boolean, ...purposes: string[]) => extendedKeyUsage(critical, ...purposes);
  const sub = makeCa('Sub', 'Root');
  it.each<[string, Certificate, string]>([
    ['another certificate of the issuer', responder('Plain', 'Root', noCheck), 'Plain'],
    ['any purpose', responder('Any', 'Root', eku(false, '2.5.29.37.0'), noCheck), 'Any'],
    ['mail only', responder('Mail', 'Root', eku(true, '1.3.6.1.5.5.7.3.4'), noCheck), 'Mail'],
    [
      'a key that may only encrypt',
      responder('Enc', 'Root', eku(true, ocspSigning), keyUsage(2), noCheck),
      'Enc',
    ],
    ['certified by a CA below', responder('Low', 'Sub', eku(true, ocspSigning), noCheck), 'Low'],
    ['certified by a stranger', responder('Far', 'Stranger', eku(true, ocspSigning), noCheck), 'Far'],
    [
      'with an unknown critical extension',
      responder('Odd', 'Root', eku(true, ocspSigning), noCheck, extension('1.2.3', nullValue(), true)),
      'Odd',
    ],
  ])('not: %s', (_, certificate, name) => {
    expect(why([byDelegate(certificate, name)], { pool: [sub] })).toBe('signer');
    expect(why([byDelegate(certificate, name, { status: 'revoked' })], { pool: [sub] })).toBe('signer');
  });

  it('not one that has expired', () => {
    const old = makeCertificate({
      subject: 'Old',
      issuer: 'Root',
      key: ecKey('Old'),
      issuerKey: ecKey('Root'),
      notAfter: later(-hour),
      extensions: [eku(true, ocspSigning), noCheck],
    });
    expect(why([byDelegate(old, 'Old')])).toBe('signer');
  });

  it('not the certificate itself, which could say that it is good', () => {
    expect(why([byDelegate(end, 'End')])).toBe('signer');
  });

  it('not somebody who only names the issuer as responder', () => {
    expect(why([answer({ key: ecKey('mallory') })])).toBe('signature');
    expect(why([byDelegate(delegate, 'mallory')])).toBe('signature');
  });

  describe('a delegate that the issuer has not excused from being checked', () => {
    const checked = responder('Checked', 'Root', eku(true, ocspSigning));
    const rootCrl = (serial: number) =>
      makeCrl({ issuer: 'Root', key: ecKey('Root'), entries: [{ serial }] });

    it('is believed when a CRL says that it is good', () => {
      expect(status([byDelegate(checked, 'Checked')], { crls: [rootCrl(1)] })).toMatchObject({ by: 'ocsp' });
    });

    it('is not believed when it has been revoked', () => {
      expect(
        status([byDelegate(checked, 'Checked', { status: 'revoked' })], { crls: [rootCrl(900)] }),
      ).toMatchObject({
        status: 'good',
        by: 'crl',
      });
    });

    it('is believed only for bad news when nothing is known', () => {
      expect(why([byDelegate(checked, 'Checked')])).toBe('signer');
      expect(why([byDelegate(checked, 'Checked', { status: 'revoked' })])).toBe('revoked');
    });

    it('cannot excuse itself', () => {
      const itself = byDelegate(checked, 'Checked', { certificate: checked });
      expect(why([byDelegate(checked, 'Checked'), itself])).toBe('signer');
    });
  });
});

describe('extensions of an OCSP response', () => {
  const critical = extension('1.2.3.4', nullValue(), true);
  const nonce = Buffer.alloc(32, 7);
  const nonceExtension = (octets: Buffer) => extension('1.3.6.1.5.5.7.48.1.2', octetString(octets));

  it('that are critical and not understood make it say nothing', () => {
    expect(why([answer({ extensions: [critical] })])).toBe('unknown-critical-extension');
    expect(why([answer({ singleExtensions: [critical] })])).toBe('unknown-critical-extension');
    expect(status([answer({ extensions: [extension('1.2.3.4', nullValue())] })])?.status).toBe('good');
  });

  it('must repeat the nonce that was sent', () => {
    expect(status([answer({ extensions: [nonceExtension(nonce)] }, nonce)])?.status).toBe('good');
    expect(why([answer({ extensions: [nonceExtension(Buffer.alloc(32, 8))] }, nonce)])).toBe('nonce');
    expect(why([answer({}, nonce)])).toBe('nonce');
    expect(status([answer({ extensions: [nonceExtension(nonce)] })])?.status).toBe('good');
  });

  it('a nonce to be sent has 1 to 128 octets', () => {
    const write = (octets: number) => () =>
      writeOcspRequest({ certificate: end, issuer: root, nonce: Buffer.alloc(octets) });
    expect(write(0)).toThrow(SealgateError);
    expect(write(129)).toThrow(SealgateError);
    expect(write(128)()).toBeInstanceOf(Buffer);
  });
});

describe('OCSP and CRLs together', () => {
  const crl = (serial: Buffer | number) =>
    makeCrl({ issuer: 'Root', key: ecKey('Root'), entries: [{ serial }] });

  it('one that says revoked is believed', () => {
    expect(status([answer()], { crls: [crl(end.serialNumber)] })).toMatchObject({
      status: 'revoked',
      by: 'crl',
    });
    expect(status([answer({ status: 'revoked' })], { crls: [crl(1)] })).toMatchObject({
      status: 'revoked',
      by: 'ocsp',
    });
  });

  it('either is enough to be good', () => {
    expect(status([answer()])).toMatchObject({ status: 'good', by: 'ocsp' });
    expect(status([answer({ status: 'unknown' })], { crls: [crl(1)] })).toMatchObject({
      status: 'good',
      by: 'crl',
    });
  });
});

describe('an OCSPResponse that says nothing', () => {
  it.each([
    [1, 'malformedRequest'],
    [2, 'internalError'],
    [3, 'tryLater'],
    [5, 'sigRequired'],
    [6, 'unauthorized'],
  ])('status %i is %s, and settles nothing', (number, name) => {
    const response = parseOcspResponse(refusal(number));
    expect(response).toEqual({ kind: 'refused', status: name });
    expect(why([{ response, nonce: null }])).toBe('no-information');
  });

  it('with a status that does not exist, or with octets, is refused', () => {
    expect(() => parseOcspResponse(refusal(4))).toThrow(SealgateError);
    expect(() => parseOcspResponse(refusal(0))).toThrow(SealgateError);
    expect(() => parseOcspResponse(refusal(1, explicit(0, nullValue())))).toThrow(SealgateError);
  });
});

describe('damaged OCSP responses', () => {
  const der = makeOcspDer({
    ...base,
    certificates: [delegate],
    extensions: [extension('1.2.3', nullValue())],
  });

  it('give an error of ours or a response that is not believed, whatever octet changes', () => {
    fc.assert(
      fc.property(fc.nat({ max: der.length - 1 }), fc.integer({ min: 1, max: 255 }), (place, change) => {
        const damaged = Buffer.from(der);
        damaged[place] = (damaged[place] ?? 0) ^ change;
        try {
          const response = parseOcspResponse(damaged);
          // The certificates that go with it are not signed.
          const signed = place < der.indexOf(delegate.der) - 8;
          if (signed) expect(status([{ response, nonce: null }])?.status).toBe('undetermined');
        } catch (error) {
          expect(error).toBeInstanceOf(SealgateError);
        }
      }),
      { numRuns: 1_500 },
    );
  });

  it('give an error of ours wherever they are cut, and where anything at all comes', () => {
    for (let length = 0; length < der.length; length++) {
      expect(() => parseOcspResponse(der.subarray(0, length))).toThrow(SealgateError);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
        expect(() => parseOcspResponse(Buffer.from(octets))).toThrow(SealgateError);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the responder of openssl', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-ocsp-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string | Buffer) => writeFileSync(join(folder, name), content);

  const revoked = makeEnd('Revoked', 'Root');
  // The index of openssl has no sign octet.
  const hex = (certificate: Certificate) =>
    certificate.serialNumber.toString('hex').replace(/^00/, '').toUpperCase();
  const rows = [
    ['V', '400101000000Z', '', hex(end), 'unknown', '/CN=End'],
    ['R', '400101000000Z', '260201120000Z,cessationOfOperation', hex(revoked), 'unknown', '/CN=Revoked'],
  ];
  file('index.txt', rows.map((row) => `${row.join('\t')}\n`).join(''));
  for (const [name, certificate] of [
    ['Root', root],
    ['Delegate', delegate],
  ] as const) {
    file(`${name}.crt`, writePem('CERTIFICATE', certificate.der));
    file(`${name}.key`, ecKey(name).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  }

  function ask(
    certificate: Certificate,
    signer: string,
    digest: CertIdDigest,
    nonce: Buffer | null,
  ): OcspEvidence {
    file('request', writeOcspRequest({ certificate, issuer: root, digest, nonce }));
    const args = ['ocsp', '-index', 'index.txt', '-CA', 'Root.crt', '-ndays', '1'];
    const signing = ['-rsigner', `${signer}.crt`, '-rkey', `${signer}.key`, '-rmd', 'sha256'];
    const files = ['-reqin', 'request', '-respout', 'response'];
    const run = spawnSync('openssl', [...args, ...signing, ...files], { cwd: folder, encoding: 'utf8' });
    if (run.status !== 0) throw new Error(`openssl ocsp: ${run.stderr}`);
    return { response: parseOcspResponse(readFileSync(join(folder, 'response'))), nonce };
  }

  const at = () => ({ at: new Date() });

  it.each([
    ['Root', 'sha1'],
    ['Root', 'sha256'],
    ['Delegate', 'sha1'],
    ['Delegate', 'sha512'],
  ] as const)('signing as %s, asked by %s, is understood and believed', (signer, digest) => {
    const nonce = Buffer.alloc(16, 5);
    expect(status([ask(end, signer, digest, nonce)], at())).toMatchObject({ status: 'good', by: 'ocsp' });
    expect(status([ask(end, signer, digest, null)], at())).toMatchObject({ status: 'good' });
    expect(why([{ ...ask(end, signer, digest, nonce), nonce: Buffer.alloc(16, 6) }], at())).toBe('nonce');

    const path = [revoked, root];
    expect(status([ask(revoked, signer, digest, nonce)], { ...at(), path })).toEqual({
      status: 'revoked',
      by: 'ocsp',
      revocationDate: new Date('2026-02-01T12:00:00Z'),
      reason: 'cessationOfOperation',
      invalidityDate: null,
    });
    expect(why([ask(other, signer, digest, nonce)], { ...at(), path: [other, root] })).toBe(
      'unknown-certificate',
    );
  });

  it('reads our requests as we mean them', () => {
    file('request', writeOcspRequest({ certificate: end, issuer: root, nonce: Buffer.alloc(16, 0xab) }));
    const run = spawnSync('openssl', ['ocsp', '-reqin', 'request', '-req_text', '-no_nonce'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(run.stdout).toContain(`Serial Number: ${hex(end)}`);
    expect(run.stdout).toMatch(/OCSP Nonce:\s*0410(AB){16}/);
  });
});
