import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bitString, explicit, integer, oid, sequence } from '../../src/asn1/writer.ts';
import { type Certificate, parseCertificate } from '../../src/pki/certificate.ts';
import { certificateSignature } from '../../src/pki/certificate-signature.ts';
import { validateAlongPath } from '../../src/pki/path-validation.ts';
import { certificateSignatureScheme } from '../../src/pki/signature-algorithm.ts';
import { ownWorkingKey, workingKeyOnPath } from '../../src/pki/working-key.ts';
import { pkitsCertificate } from './corpora.ts';
import {
  basicConstraints,
  ecKey,
  type KeyPair,
  makeCertificate,
  makeDer,
  now,
  type Scheme,
} from './make-certificate.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const smallRsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
const pssOnly = generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
const pssSha512 = generateKeyPairSync('rsa-pss', {
  modulusLength: 2048,
  hashAlgorithm: 'sha512',
  mgf1HashAlgorithm: 'sha512',
});
const ed25519 = generateKeyPairSync('ed25519');
const mlDsa = generateKeyPairSync('ml-dsa-65');
const p192 = generateKeyPairSync('ec', { namedCurve: 'prime192v1' });

function verdict(certificate: Certificate, issuer: Certificate = certificate, left = 10) {
  const key = ownWorkingKey(issuer);
  if (key === null) throw new Error('a key without parameters');
  return certificateSignature(certificate, key, { left });
}

function selfSigned(key: KeyPair, scheme: Scheme): Certificate {
  return makeCertificate({ subject: 'Root', key, scheme });
}

describe('signatures of CAs', () => {
  it.each<[string, KeyPair, Scheme, string]>([
    ['RSA with SHA-256', rsa, 'rsa-sha256', 'good'],
    ['RSASSA-PSS', rsa, 'rsa-pss', 'good'],
    ['RSASSA-PSS with a key for nothing else', pssOnly, 'rsa-pss', 'good'],
    ['ECDSA', ecKey('root'), 'ecdsa-sha256', 'good'],
    ['Ed25519', ed25519, 'ed25519', 'good'],
    ['ML-DSA-65', mlDsa, 'ml-dsa-65', 'good'],
    ['RSA with SHA-1', rsa, 'rsa-sha1', 'legacy'],
    ['RSA of 1024 bits', smallRsa, 'rsa-sha256', 'legacy'],
    ['RSA with MD5', rsa, 'rsa-md5', 'unsupported'],
    ['a curve below 256 bits', p192, 'ecdsa-sha256', 'unsupported'],
  ])('%s', (_, key, scheme, expected) => {
    expect(verdict(selfSigned(key, scheme))).toBe(expected);
  });

  it('are bad when one bit of certificate or signature differs', () => {
    const pairs: [KeyPair, Scheme][] = [
      [rsa, 'rsa-sha256'],
      [rsa, 'rsa-pss'],
      [ecKey('root'), 'ecdsa-sha256'],
      [ed25519, 'ed25519'],
    ];
    for (const [key, scheme] of pairs) {
      const good = selfSigned(key, scheme);
      for (const place of [good.der.length - 1, good.der.indexOf('Root')]) {
        const der = Buffer.from(good.der);
        der[place] = (der[place] ?? 0) ^ 1;
        expect(verdict(parseCertificate(der), good), scheme).not.toBe('good');
      }
    }
  });

  it('are refused when the algorithm is for another kind of key', () => {
    const issuer = selfSigned(rsa, 'rsa-sha256');
    const byEc = makeCertificate({
      subject: 'End',
      key: rsa,
      issuerKey: ecKey('root'),
      scheme: 'ecdsa-sha256',
    });
    expect(verdict(byEc, issuer)).toBe('unsupported');
    // A key bound to RSASSA-PSS must not be used with PKCS #1 v1.5 (RFC 4055 §1.2).
    const byPkcs1 = makeCertificate({ subject: 'End', key: rsa, issuerKey: rsa, scheme: 'rsa-sha256' });
    expect(verdict(byPkcs1, makeCertificate({ subject: 'Root', key: pssOnly, scheme: 'rsa-pss' }))).toBe(
      'unsupported',
    );
  });

  it('are bad when they break the restrictions in a RSASSA-PSS key (RFC 4055 §3.3)', () => {
    const signer = makeCertificate({ subject: 'Root', key: pssSha512, issuerKey: rsa, scheme: 'rsa-sha256' });
    const end = makeCertificate({ subject: 'End', key: rsa, issuerKey: rsa, scheme: 'rsa-pss' });
    expect(verdict(end, signer)).toBe('bad');
  });

  it('are not trusted from a key that cannot be imported', () => {
    const broken = sequence(
      sequence(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7')),
      bitString(Buffer.from([4, 1])),
    );
    const signer = makeCertificate({ subject: 'Root', key: broken, issuerKey: ecKey('root') });
    expect(verdict(selfSigned(ecKey('root'), 'ecdsa-sha256'), signer)).toBe('unsupported');
  });

  it('by DSA with inherited parameters are left to the path', () => {
    expect(ownWorkingKey(pkitsCertificate('DSAParametersInheritedCACert'))).toBeNull();
    expect(ownWorkingKey(pkitsCertificate('DSACACert'))).not.toBeNull();
    const inheriting = pkitsCertificate('DSAParametersInheritedCACert');
    expect(workingKeyOnPath(inheriting, [pkitsCertificate('DSACACert')])?.keyObject().asymmetricKeyType).toBe(
      'dsa',
    );
    // Nobody to inherit from, or only an issuer with another kind of key (RFC 5280 §6.1.4 (f)).
    expect(workingKeyOnPath(inheriting, [])).toBeNull();
    expect(workingKeyOnPath(inheriting, [pkitsCertificate('GoodCACert')])).toBeNull();
  });
});

describe('validation along a given path', () => {
  const inputs = {
    at: now,
    purpose: null,
    policy: {
      initialPolicySet: null,
      initialPolicyMappingInhibit: false,
      initialExplicitPolicy: false,
      initialAnyPolicyInhibit: false,
    },
    acceptLegacyAlgorithms: true,
  };
  const anchor = makeCertificate({
    subject: 'Root',
    key: rsa,
    scheme: 'rsa-sha256',
    extensions: [basicConstraints(true)],
  });
  const checks = (end: Certificate, left = 10) =>
    validateAlongPath([anchor, end], inputs, { left }).problems.map(({ check }) => check);
  const end = (scheme: Scheme, issuerKey = rsa) =>
    makeCertificate({ subject: 'End', issuer: 'Root', key: rsa, issuerKey, scheme });

  it('takes only good signatures, legacy ones where asked for, and none unverified', () => {
    expect(checks(end('rsa-pss'), 0)).toEqual(['too-complex']);
    expect(checks(end('rsa-sha256'))).toEqual([]);
    expect(checks(end('rsa-sha1'))).toEqual([]);
    expect(checks(end('rsa-md5'))).toEqual(['signature']);
    expect(checks(end('ecdsa-sha256', ecKey('root')))).toEqual(['signature']);
    expect(checks(end('rsa-sha256', smallRsa))).toEqual(['signature']);
  });
});

describe('remembered verdicts', () => {
  it('cost nothing of the budget, and an empty budget gives no verdict', () => {
    const certificate = selfSigned(ecKey('remembered'), 'ecdsa-sha256');
    const key = ownWorkingKey(certificate);
    if (key === null) throw new Error('a key without parameters');
    const budget = { left: 1 };
    expect(certificateSignature(certificate, key, { left: 0 })).toBeNull();
    expect(certificateSignature(certificate, key, budget)).toBe('good');
    expect(budget.left).toBe(0);
    expect(certificateSignature(parseCertificate(certificate.der), key, budget)).toBe('good');
  });

  it('belong to the key: another key has its own', () => {
    const certificate = selfSigned(ecKey('one'), 'ecdsa-sha256');
    expect(verdict(certificate)).toBe('good');
    expect(verdict(certificate, selfSigned(ecKey('two'), 'ecdsa-sha256'))).toBe('bad');
  });
});

describe('algorithm identifiers', () => {
  const sha256 = sequence(oid('2.16.840.1.101.3.4.2.1'));
  const mgf = (digest: Buffer) => explicit(1, sequence(oid('1.2.840.113549.1.1.8'), digest));
  const pss = (...fields: Buffer[]) =>
    certificateSignatureScheme(sequence(oid('1.2.840.113549.1.1.10'), sequence(...fields)));
  const sha512 = sequence(oid('2.16.840.1.101.3.4.2.3'));

  it('of RSASSA-PSS have SHA-1 and 20 octets of salt as defaults (RFC 4055 §3.1)', () => {
    expect(pss()).toEqual({ kind: 'rsa-pss', digest: 'sha1', saltOctets: 20 });
    expect(pss(explicit(0, sha256), mgf(sha256), explicit(2, integer(32)), explicit(3, integer(1)))).toEqual({
      kind: 'rsa-pss',
      digest: 'sha256',
      saltOctets: 32,
    });
  });

  it.each<[string, ReturnType<typeof pss>]>([
    ['two digests', pss(explicit(0, sha256), mgf(sha512))],
    [
      'an unknown digest',
      pss(explicit(0, sequence(oid('1.2.840.113549.2.5'))), mgf(sequence(oid('1.2.840.113549.2.5')))),
    ],
    ['another mask function', pss(explicit(1, sequence(oid('1.2.3'), sha256)))],
    ['a negative salt', pss(explicit(2, integer(-1)))],
    ['a salt beyond every key', pss(explicit(2, integer(100_000)))],
    ['another trailer', pss(explicit(3, integer(2)))],
    ['no parameters for RSASSA-PSS', certificateSignatureScheme(sequence(oid('1.2.840.113549.1.1.10')))],
    [
      'parameters for ECDSA',
      certificateSignatureScheme(sequence(oid('1.2.840.10045.4.3.2'), oid('1.2.840.10045.3.1.7'))),
    ],
    ['parameters for RSA', certificateSignatureScheme(sequence(oid('1.2.840.113549.1.1.11'), integer(1)))],
    ['MD2', certificateSignatureScheme(sequence(oid('1.2.840.113549.1.1.2'), Buffer.from([5, 0])))],
    ['MD5', certificateSignatureScheme(sequence(oid('1.2.840.113549.1.1.4'), Buffer.from([5, 0])))],
  ])('with %s are not in the table', (_, scheme) => {
    expect(scheme).toBeNull();
  });

  it('that differ outside and inside never get that far', () => {
    const der = () =>
      makeDer({
        subject: 'X',
        key: rsa,
        scheme: 'rsa-sha256',
        outerAlgorithm: sequence(oid('1.2.840.113549.1.1.4')),
      });
    expect(() => parseCertificate(der())).toThrowError(expect.objectContaining({ code: 'pki.malformed' }));
  });
});
