import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boolean, ia5String, octetString, oid, sequence } from '../../src/asn1/writer.ts';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { type Certificate, parseCertificate } from '../../src/pki/certificate.ts';
import { keyIdentifier } from '../../src/pki/key-identifier.ts';
import { pathFacts } from '../../src/pki/path-facts.ts';
import { corpus, corpusCertificate } from './corpora.ts';
import {
  basicConstraints,
  ecKey,
  extension,
  generalName,
  keyUsage,
  makeCertificate,
  makeDer,
  subjectAltName,
} from './make-certificate.ts';

/** What the parser said: the certificate, or the code of its error. Any other error escapes. */
function parse(der: Buffer): Certificate | string {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}

function realCertificates(): { file: string; der: Buffer }[] {
  const pkits = readdirSync(corpus('pkits', 'certs')).map((file) => ({
    file,
    der: readFileSync(corpus('pkits', 'certs', file)),
  }));
  const rfc9216 = readdirSync(corpus('rfc9216'))
    .filter((file) => file.endsWith('.crt'))
    .map((file) => ({ file, der: corpusCertificate('rfc9216', file).der }));
  const kim = ['GEM.RCA2-TEST-ONLY.pem', 'GEM.KOMP-CA24-TEST-ONLY.pem', 'hci-enc-2-kim-bsp.pem'].map(
    (file) => ({
      file,
      der: corpusCertificate('kim', 'recipient-a', file).der,
    }),
  );
  return [...pkits, ...rfc9216, ...kim];
}

/** Bad signatures that are not whole octets (PKITS 4.1.2 and 4.1.6). */
const UNREADABLE = ['BadSignedCACert.crt', 'InvalidDSASignatureTest6EE.crt'];
/** Keys without their own DSA parameters. */
const INHERITING = ['DSAParametersInheritedCACert.crt', 'ValidDSAParameterInheritanceTest5EE.crt'];

describe('parseCertificate against the certificates of PKITS, RFC 9216 and KIM', () => {
  it('refuses only those whose signature cannot be read', () => {
    const refused = realCertificates().filter(({ der }) => typeof parse(der) === 'string');
    expect(refused.map(({ file }) => file)).toEqual(UNREADABLE);
  });

  it('reads the same fields as X509Certificate of node:crypto', () => {
    for (const { file, der } of realCertificates()) {
      if (UNREADABLE.includes(file)) continue;
      const ours = parseCertificate(der);
      const theirs = new X509Certificate(der);
      expect(ours.fingerprint, file).toBe(theirs.fingerprint256.replaceAll(':', '').toLowerCase());
      expect(ours.notBefore, file).toEqual(theirs.validFromDate);
      expect(ours.notAfter, file).toEqual(theirs.validToDate);
      // X509_check_ca asks for keyCertSign too.
      const maySign = ours.keyUsage?.has('keyCertSign') ?? true;
      expect(ours.basicConstraints?.cA === true && maySign, file).toBe(theirs.ca);
      expect(ours.extendedKeyUsage ?? undefined, file).toEqual(theirs.keyUsage);
      expect(signed(ours.serialNumber), file).toBe(serialNumber(theirs));
      const mailboxes = (theirs.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('email:'));
      expect(ours.mailboxes, file).toEqual(mailboxes.map((name) => name.slice('email:'.length)));
      if (INHERITING.includes(file)) continue;
      const theirKey = theirs.publicKey.export({ format: 'der', type: 'spki' });
      expect(ours.publicKey.export({ format: 'der', type: 'spki' }), file).toEqual(theirKey);
    }
  });

  it('names attributes as node:crypto prints them', () => {
    for (const { file, der } of realCertificates()) {
      if (UNREADABLE.includes(file)) continue;
      const ours = parseCertificate(der).subject.attributes.map(({ value }) => value);
      const printed = new X509Certificate(der).subject ?? '';
      const theirs = printed.split(/\n|(?<!\\)\+/).map((line) => line.slice(line.indexOf('=') + 1));
      if (!/^[\x20-\x7e\n]*$/.test(printed) || /[\\"]/.test(printed) || printed === '') continue;
      expect(ours, file).toEqual(theirs);
    }
  });

  it('computes the key identifier that CAs wrote by method (1) of RFC 5280 §4.2.1.2', () => {
    const ca = corpusCertificate('pkits', 'certs', 'GoodCACert.crt');
    expect(keyIdentifier(ca.subjectPublicKeyInfo)).toEqual(ca.subjectKeyIdentifier);
  });
});

function signed(octets: Buffer): bigint {
  return BigInt.asIntN(octets.length * 8, BigInt(`0x${octets.toString('hex')}`));
}

/** X509Certificate writes a negative serial number with its sign in front of the magnitude. */
function serialNumber(certificate: X509Certificate): bigint {
  const [, minus, hex] = /^(-?)(.*)$/.exec(certificate.serialNumber) ?? [];
  const magnitude = BigInt(`0x${hex}`);
  return minus === '-' ? -magnitude : magnitude;
}

describe('parseCertificate refuses what RFC 5280 forbids', () => {
  const key = ecKey('someone');
  const base = { subject: 'Someone', key };

  it.each<[string, Buffer]>([
    ['trailing octets', Buffer.concat([makeDer(base), Buffer.from([0])])],
    ['an extension twice (§4.2)', makeDer({ ...base, extensions: [keyUsage(0), keyUsage(5)] })],
    ['version 4', makeDer({ ...base, version: 3 })],
    ['version 1 written out', makeDer({ ...base, version: 0 })],
    ['extensions in version 2 (§4.1.2.9)', makeDer({ ...base, version: 1, extensions: [keyUsage(0)] })],
    ['an empty issuer (§4.1.2.4)', makeDer({ ...base, issuer: sequence() })],
    [
      'another algorithm outside than inside (§4.1.1.2)',
      makeDer({ ...base, outerAlgorithm: sequence(oid('1.2.840.10045.4.3.3')) }),
    ],
    [
      'a negative path length (§4.2.1.9)',
      makeDer({ ...base, extensions: [extension('2.5.29.19', Buffer.from('30060101ff0201ff', 'hex'))] }),
    ],
    [
      'a path length of no CA (§4.2.1.9)',
      makeDer({ ...base, extensions: [extension('2.5.29.19', Buffer.from('3003020101', 'hex'))] }),
    ],
    [
      'a BOOLEAN that is not DER',
      makeDer({
        ...base,
        extensions: [sequence(oid('1.2.3'), Buffer.from('010101', 'hex'), octetString(Buffer.alloc(1)))],
      }),
    ],
    ['an unknown key usage bit', makeDer({ ...base, extensions: [keyUsage(9)] })],
    [
      'an empty extKeyUsage (§4.2.1.12)',
      makeDer({ ...base, extensions: [extension('2.5.29.37', sequence())] }),
    ],
    ['an empty subjectAltName (§4.2.1.6)', makeDer({ ...base, extensions: [subjectAltName()] })],
    [
      'octets after an extension value',
      makeDer({
        ...base,
        extensions: [extension('2.5.29.37', Buffer.concat([sequence(oid('1.2.3')), Buffer.alloc(2)]))],
      }),
    ],
    [
      'a SmtpUTF8Mailbox that is no UTF8String (RFC 9598 §3)',
      makeDer({
        ...base,
        extensions: [subjectAltName(generalName.other('1.3.6.1.5.5.7.8.9', ia5String('a@b.example')))],
      }),
    ],
    [
      'an rfc822Name that is not ASCII',
      makeDer({ ...base, extensions: [subjectAltName(generalName.mailbox('ä@b.example'))] }),
    ],
    [
      'more extensions than anybody needs',
      makeDer({
        ...base,
        extensions: Array.from({ length: limits.pki.extensions + 1 }, (_, i) =>
          extension(`1.2.3.${i}`, Buffer.alloc(0)),
        ),
      }),
    ],
    [
      'more octets than anybody needs',
      makeDer({ ...base, extensions: [extension('1.2.3', Buffer.alloc(limits.pki.certificateOctets))] }),
    ],
    [
      'more names than anybody needs',
      makeDer({
        ...base,
        extensions: [
          subjectAltName(
            ...Array.from({ length: limits.pki.generalNames + 1 }, () => generalName.mailbox('a@b')),
          ),
        ],
      }),
    ],
  ])('%s', (_, der) => {
    expect(['pki.malformed', 'asn1.malformed']).toContain(parse(der));
  });

  it('but reads `critical FALSE` and `cA FALSE` written out, which mean nothing else', () => {
    const certificate = makeCertificate({
      ...base,
      extensions: [sequence(oid('2.5.29.19'), boolean(false), octetString(sequence(boolean(false))))],
    });
    expect(certificate.basicConstraints).toEqual({ cA: false, pathLength: null });
    expect(certificate.extensions[0]?.critical).toBe(false);
  });
});

describe('a parsed certificate', () => {
  it('has no mailbox in a SmtpUTF8Mailbox that must not be one (RFC 9598 §3)', () => {
    const names = ['a@b.example', '\u{FEFF}ä@b.example', 'ä', 'ö@b.example'].map(generalName.smtpUtf8);
    const certificate = makeCertificate({
      subject: 'X',
      key: ecKey('someone'),
      extensions: [subjectAltName(...names)],
    });
    expect(certificate.mailboxes).toEqual(['ö@b.example']);
    expect(certificate.subjectAltName).toHaveLength(4);
  });

  it('keeps octets of its own, so that it neither holds nor follows the message it came from', () => {
    const der = makeDer({ subject: 'Someone', key: ecKey('someone'), extensions: [basicConstraints(false)] });
    const message = Buffer.concat([Buffer.alloc(100_000), der]);
    const certificate = parseCertificate(message.subarray(100_000));
    message.fill(0);
    expect(certificate.der).toEqual(der);
    expect(certificate.tbs.buffer).not.toBe(message.buffer);
    expect(parseCertificate(certificate.der).subject.text).toBe('CN=Someone');
  });

  it('says which key it cannot use instead of crashing', () => {
    const broken = sequence(sequence(oid('1.2.840.113549.1.1.1')), Buffer.from('03020000', 'hex'));
    const certificate = makeCertificate({ subject: 'X', key: broken, issuerKey: ecKey('someone') });
    expect(() => certificate.publicKey).toThrowError(
      expect.objectContaining({ code: 'pki.unsupported-key' }),
    );
  });

  it('refuses a public exponent that makes verifying slow', () => {
    const modulus =
      generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }).n ?? '';
    const e = Buffer.alloc(200, 0x55).toString('base64url');
    const key = createPublicKey({ key: { kty: 'RSA', n: modulus, e }, format: 'jwk' });
    const spki = key.export({ format: 'der', type: 'spki' });
    const certificate = makeCertificate({ subject: 'X', key: spki, issuerKey: ecKey('someone') });
    expect(() => certificate.publicKey).toThrowError(
      expect.objectContaining({ code: 'pki.unsupported-key' }),
    );
  });

  it('refuses a curve with parameters of its own (RFC 5480 §2.1.1, CVE-2020-0601)', () => {
    const curve = ['-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit'];
    const privateKey = execFileSync('openssl', ['genpkey', '-algorithm', 'EC', ...curve]);
    const spki = execFileSync('openssl', ['pkey', '-pubout', '-outform', 'DER'], { input: privateKey });
    // node:crypto itself would take it.
    expect(createPublicKey({ key: spki, format: 'der', type: 'spki' }).asymmetricKeyType).toBe('ec');
    const certificate = makeCertificate({ subject: 'X', key: spki, issuerKey: ecKey('someone') });
    expect(() => certificate.publicKey).toThrowError(
      expect.objectContaining({ code: 'pki.unsupported-key' }),
    );
  });
});

describe('damage', () => {
  const files = ['alice.sign.crt', 'carlos.encrypt.crt', 'ca-rsa-cross.crt'];
  const originals = [
    ...files.map((file) => corpusCertificate('rfc9216', file).der),
    readFileSync(corpus('pkits', 'certs', 'nameConstraintsDN3CACert.crt')),
    readFileSync(corpus('pkits', 'certs', 'Mapping1to2CACert.crt')),
    corpusCertificate('kim', 'recipient-a', 'hci-enc-2-kim-bsp.pem').der,
  ];

  it('never ends in anything but a typed error', () => {
    const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(
        fc.constantFrom(...originals),
        fc.array(change, { minLength: 1, maxLength: 6 }),
        (der, changes) => {
          const mutated = Buffer.from(der);
          for (const [place, octet] of changes) mutated[place % mutated.length] = octet;
          const result = parse(mutated);
          if (typeof result === 'string') {
            expect(['pki.malformed', 'asn1.malformed']).toContain(result);
            return;
          }
          // What is read lazily must not throw either.
          expect(pathFacts(result).unknownCritical).toBeInstanceOf(Array);
          try {
            result.publicKey;
          } catch (error) {
            expect(error).toMatchObject({ code: 'pki.unsupported-key' });
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('of truncation is always told', () => {
    for (const der of originals) {
      for (let length = 0; length < der.length; length += 7) {
        expect(parse(der.subarray(0, length))).toBe('asn1.malformed');
      }
    }
  });
});
