import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bitString, oid, sequence } from '../../src/asn1/writer.ts';
import { mayCertificateEncrypt, mayCertificateSign } from '../../src/pki/key-purpose.ts';
import { corpusCertificate, rfc9216At } from './corpora.ts';
import { ecKey, extendedKeyUsage, keyUsage, makeCertificate, now, until } from './make-certificate.ts';

const email = '1.3.6.1.5.5.7.3.4';
const serverAuth = '1.3.6.1.5.5.7.3.1';
const ec = ecKey('somebody');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const smallRsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
const x25519 = generateKeyPairSync('x25519');
const ed25519 = generateKeyPairSync('ed25519');
const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
const brainpool = generateKeyPairSync('ec', { namedCurve: 'brainpoolP320r1' });
const mlKem = generateKeyPairSync('ml-kem-768');
const exponentOne = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsaNumbers = exponentOne.publicKey.export({ format: 'jwk' });
const withExponentOne = {
  ...exponentOne,
  publicKey: createPublicKey({ key: { ...rsaNumbers, e: 'AQ' }, format: 'jwk' }),
};
/** A point of order 4: with it every shared secret is zero (RFC 7748 §6.1). */
const smallOrder = sequence(
  sequence(oid('1.3.101.110')),
  bitString(Buffer.from('01'.padEnd(64, '0'), 'hex')),
);
const dsa = generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 });

function make(key: typeof ec, ...extensions: Buffer[]) {
  return makeCertificate({ subject: 'Somebody', key, issuerKey: ec, extensions });
}
const broken = makeCertificate({
  subject: 'Somebody',
  key: sequence(sequence(oid('1.2.840.113549.1.1.1')), Buffer.from('03020000', 'hex')),
  issuerKey: ec,
});
const reason = (verdict: ReturnType<typeof mayCertificateSign>) =>
  verdict.kind === 'may' ? 'may' : verdict.reason;

describe('mayCertificateSign', () => {
  it.each([
    ['no restriction', make(ec), 'may'],
    ['RSA', make(rsa), 'may'],
    ['Ed25519', make(ed25519), 'may'],
    ['digitalSignature', make(ec, keyUsage(0)), 'may'],
    ['nonRepudiation', make(ec, keyUsage(1)), 'may'],
    ['emailProtection', make(ec, extendedKeyUsage(false, email)), 'may'],
    ['anyExtendedKeyUsage', make(ec, extendedKeyUsage(true, '2.5.29.37.0')), 'may'],
    ['encryption only', make(rsa, keyUsage(2)), 'key-usage'],
    ['keyCertSign only', make(ec, keyUsage(5)), 'key-usage'],
    ['an empty key usage', make(ec, keyUsage()), 'key-usage'],
    ['a web server', make(ec, extendedKeyUsage(false, serverAuth)), 'extended-key-usage'],
    ['X25519', make(x25519), 'key-type'],
    ['DSA', make(dsa), 'key-type'],
    ['RSA of 1024 bits', make(smallRsa), 'key-type'],
    ['a key that cannot be read', broken, 'key-type'],
  ])('%s', (_, certificate, expected) => {
    expect(reason(mayCertificateSign(certificate, now))).toBe(expected);
  });

  it.each(['secp112r1', 'prime192v1', 'secp256k1', 'brainpoolP320r1'])(
    'not with a key on %s: some of the curves that OpenSSL knows are so small that keys on them can be found',
    (namedCurve) => {
      const key = generateKeyPairSync('ec', { namedCurve });
      expect(reason(mayCertificateSign(make(key, keyUsage(0)), now))).toBe('key-type');
    },
  );

  it.each(['P-256', 'P-384', 'P-521', 'brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1'])(
    'with a key on %s',
    (namedCurve) => {
      const key = generateKeyPairSync('ec', { namedCurve });
      expect(reason(mayCertificateSign(make(key, keyUsage(0)), now))).toBe('may');
    },
  );
});

describe('mayCertificateEncrypt', () => {
  it.each([
    ['RSA without restriction', make(rsa), 'may'],
    ['RSA with keyEncipherment', make(rsa, keyUsage(2)), 'may'],
    ['EC with keyAgreement', make(ec, keyUsage(4)), 'may'],
    ['EC with keyAgreement and encipherOnly', make(ec, keyUsage(4, 7)), 'may'],
    ['X25519', make(x25519, keyUsage(4)), 'may'],
    ['ML-KEM', make(mlKem, keyUsage(2)), 'may'],
    ['a curve that mail is not encrypted to', make(secp256k1, keyUsage(4)), 'key-type'],
    ['a brainpool curve of 320 bits', make(brainpool, keyUsage(4)), 'key-type'],
    ['RSA whose ciphertext is the plaintext', make(withExponentOne, keyUsage(2)), 'key-type'],
    [
      'X25519 whose secrets everybody knows',
      makeCertificate({ subject: 'Somebody', key: smallOrder, issuerKey: ec, extensions: [keyUsage(4)] }),
      'key-type',
    ],
    ['RSA with keyAgreement', make(rsa, keyUsage(4)), 'key-usage'],
    ['EC with keyEncipherment', make(ec, keyUsage(2)), 'key-usage'],
    ['EC with decipherOnly', make(ec, keyUsage(4, 8)), 'key-usage'],
    ['signing only', make(rsa, keyUsage(0, 1)), 'key-usage'],
    ['a web server', make(rsa, keyUsage(2), extendedKeyUsage(false, serverAuth)), 'extended-key-usage'],
    ['Ed25519', make(ed25519), 'key-type'],
    ['DSA', make(dsa), 'key-type'],
    ['RSA of 1024 bits', make(smallRsa), 'key-type'],
    ['a key that cannot be read', broken, 'key-type'],
  ])('%s', (_, certificate, expected) => {
    expect(reason(mayCertificateEncrypt(certificate, now))).toBe(expected);
  });

  it('counts ML-KEM only where it is turned on, and says so', () => {
    expect(mayCertificateEncrypt(make(mlKem), now, false)).toMatchObject({
      reason: 'key-type',
      text: expect.stringContaining('ML-KEM'),
    });
  });

  it('names the curve', () => {
    expect(mayCertificateEncrypt(make(secp256k1), now)).toMatchObject({
      text: expect.stringContaining('secp256k1'),
    });
  });
});

describe('validity (RFC 5280 §4.1.2.5)', () => {
  const certificate = make(ec);

  it('includes both ends', () => {
    expect(mayCertificateSign(certificate, certificate.notBefore).kind).toBe('may');
    expect(mayCertificateSign(certificate, certificate.notAfter).kind).toBe('may');
    expect(reason(mayCertificateSign(certificate, new Date(certificate.notBefore.getTime() - 1)))).toBe(
      'not-yet-valid',
    );
    expect(reason(mayCertificateEncrypt(certificate, new Date(until.getTime() + 1)))).toBe('expired');
  });

  it('is no time that is not one', () => {
    expect(mayCertificateSign(certificate, new Date(Number.NaN)).kind).toBe('may-not');
  });
});

describe('the people of RFC 9216', () => {
  it.each(['alice', 'bob', 'carlos', 'dana'])('%s has one certificate for each', (person) => {
    const signing = corpusCertificate('rfc9216', `${person}.sign.crt`);
    const encryption = corpusCertificate('rfc9216', `${person}.encrypt.crt`);
    expect(mayCertificateSign(signing, rfc9216At)).toEqual({ kind: 'may' });
    expect(mayCertificateEncrypt(encryption, rfc9216At)).toEqual({ kind: 'may' });
    expect(mayCertificateSign(encryption, rfc9216At).kind).toBe('may-not');
    expect(mayCertificateEncrypt(signing, rfc9216At).kind).toBe('may-not');
  });
});
