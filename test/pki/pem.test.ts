import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { certificatesOnly } from '../../src/cms/sign.ts';
import { SealgateError } from '../../src/errors.ts';
import { readCertificates } from '../../src/pki/certificate-file.ts';
import { readPem, writePem } from '../../src/pki/pem.ts';
import { corpus, corpusCertificate } from './corpora.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealgate-pem-'));
afterAll(() => rmSync(folder, { recursive: true }));

const object = '-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n';

describe('RFC 7468 text', () => {
  it('with a line that nearly is a boundary is refused at once', () => {
    // With more than one way to match a label, each further character doubled the time.
    for (const label of ['x'.repeat(100_000), 'x-'.repeat(50_000), 'x '.repeat(50_000)]) {
      expect(() => readPem(`-----BEGIN ${label}\n`)).toThrowError(
        expect.objectContaining({ code: 'pki.malformed' }),
      );
    }
  });

  it('has labels with single blanks and hyphens inside, or none', () => {
    for (const label of ['', 'X', 'X509 CRL', 'A-B C']) {
      expect(readPem(`-----BEGIN ${label}-----\nAQID\n-----END ${label}-----`)[0]?.label).toBe(label);
    }
    for (const label of [' X', 'X ', '-X', 'X-', 'X  Y', 'X--Y', 'X- Y']) {
      expect(() => readPem(`-----BEGIN ${label}-----\nAQID\n-----END ${label}-----`)).toThrowError(
        expect.objectContaining({ code: 'pki.malformed' }),
      );
    }
  });

  it('comes back as it was written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (octets) => {
        const text = writePem('CERTIFICATE', Buffer.from(octets));
        expect(readPem(text)).toEqual([{ label: 'CERTIFICATE', der: Buffer.from(octets) }]);
        expect(text.split('\n').every((line) => line.length <= 64)).toBe(true);
      }),
    );
  });

  it('may have explanations around it, any line ends and several objects', () => {
    const text = `Subject: somebody\r\n${object.replaceAll('\n', '\r\n')}\nmore\n${object}${writePem('X.509 CRL', Buffer.from('x'))}`;
    expect(readPem(text).map(({ label }) => label)).toEqual(['CERTIFICATE', 'CERTIFICATE', 'X.509 CRL']);
  });

  it('may begin with a byte order mark', () => {
    expect(readPem(`\u{FEFF}${object}`)).toHaveLength(1);
    expect(readPem(Buffer.from(`\u{FEFF}${object}`).toString('latin1'))).toHaveLength(1);
  });

  it.each([
    ['an end without its beginning', '-----END CERTIFICATE-----'],
    ['a beginning without its end', '-----BEGIN CERTIFICATE-----\nAQID\n'],
    ['another label at the end', object.replace('END CERTIFICATE', 'END PRIVATE KEY')],
    ['a beginning within', object.replace('AQID', `AQID\n${object}`)],
    ['a damaged boundary', object.replace('CERTIFICATE-----', 'CERTIFICATE----')],
    ['a word between', object.replace('AQID', 'AQID\nhello world')],
    ['an empty line between', object.replace('AQID', 'AQID\n\nAQID')],
    ['nothing between', object.replace('AQID\n', '')],
    ['stray bits in the last character', object.replace('AQID', 'AQJ=')],
    ['padding in the middle', object.replace('AQID', 'AQ==\nAQID')],
    ['base64 that is too short', object.replace('AQID', 'AQI')],
    ['encapsulated headers of old encrypted keys', object.replace('AQID', 'Proc-Type: 4,ENCRYPTED\n\nAQID')],
    ['a label with a control character', object.replaceAll('CERTIFICATE', 'CERT\x07')],
  ])('is refused with %s', (_, text) => {
    expect(() => readPem(text)).toThrowError(
      expect.objectContaining({ code: 'pki.malformed', publicText: expect.stringMatching(/at line \d/) }),
    );
  });

  it('of any kind ends in objects or a typed error', () => {
    const piece = fc.constantFrom(
      '-----BEGIN A-----',
      '-----END A-----',
      'AQID',
      '\n',
      '\r',
      ' ',
      '=',
      '-----',
      'é',
    );
    fc.assert(
      fc.property(
        fc.array(piece).map((pieces) => pieces.join('')),
        (text) => {
          try {
            expect(readPem(text)).toBeInstanceOf(Array);
          } catch (error) {
            expect(error).toBeInstanceOf(SealgateError);
          }
        },
      ),
    );
  });
});

describe('a file of certificates', () => {
  const alice = corpusCertificate('rfc9216', 'alice.sign.crt');
  const ca = corpusCertificate('rfc9216', 'ca-rsa.crt');
  const fingerprints = (octets: Buffer) => readCertificates(octets).map(({ fingerprint }) => fingerprint);

  it('may be DER', () => {
    expect(fingerprints(alice.der)).toEqual([alice.fingerprint]);
  });

  it('may be PEM with a chain and other objects', () => {
    const text = [ca, alice]
      .map(({ der }) => writePem('CERTIFICATE', der))
      .join(writePem('X509 CRL', Buffer.from('0')));
    expect(fingerprints(Buffer.from(text))).toEqual([ca.fingerprint, alice.fingerprint]);
  });

  it('may be a certs-only bundle as OpenSSL writes it, in DER and PEM', () => {
    for (const form of ['DER', 'PEM']) {
      const out = join(folder, `bundle.${form}`);
      execFileSync('openssl', [
        ...['crl2pkcs7', '-nocrl', '-outform', form, '-out', out],
        ...['-certfile', corpus('rfc9216', 'alice.sign.crt'), '-certfile', corpus('rfc9216', 'ca-rsa.crt')],
      ]);
      expect(fingerprints(readFileSync(out)).sort()).toEqual([alice.fingerprint, ca.fingerprint].sort());
    }
  });

  it('may be a bundle of ours, which OpenSSL reads too, in DER and PEM', () => {
    const bundle = certificatesOnly([alice, ca]);
    for (const [form, octets] of [
      ['DER', bundle],
      ['PEM', Buffer.from(writePem('PKCS7', bundle))],
    ] as const) {
      expect(fingerprints(octets).sort()).toEqual([alice.fingerprint, ca.fingerprint].sort());
      const args = ['pkcs7', '-inform', form, '-print_certs'];
      const printed = execFileSync('openssl', args, { input: octets });
      expect(fingerprints(printed).sort()).toEqual([alice.fingerprint, ca.fingerprint].sort());
    }
  });

  it('may be a bundle between the lines of a certificate, as Windows certificate services write it', () => {
    const text = writePem('CERTIFICATE', certificatesOnly([alice]));
    expect(fingerprints(Buffer.from(text))).toEqual([alice.fingerprint]);
  });

  it('without a certificate is told from a broken one', () => {
    expect(() => readCertificates(Buffer.from('nothing'))).toThrowError(
      expect.objectContaining({ code: 'pki.no-certificate' }),
    );
    expect(() => readCertificates(Buffer.alloc(0))).toThrowError(
      expect.objectContaining({ code: 'pki.no-certificate' }),
    );
    expect(() => readCertificates(readFileSync(corpus('rfc9216', 'alice.p12')))).toThrowError(SealgateError);
    writeFileSync(join(folder, 'cut'), alice.der.subarray(0, 100));
    expect(() => readCertificates(readFileSync(join(folder, 'cut')))).toThrowError(
      expect.objectContaining({ code: 'asn1.malformed' }),
    );
  });
});
