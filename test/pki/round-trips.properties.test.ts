import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import { sequenceOf } from '../../src/asn1/sequence-reader.ts';
import { bitString, element, integer, sequence } from '../../src/asn1/writer.ts';
import { SealgateError } from '../../src/errors.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import { certificateSignature } from '../../src/pki/certificate-signature.ts';
import { nameForPeople, parseName, sameName } from '../../src/pki/name.ts';
import { certIdMatches, parseCertId, writeCertId } from '../../src/pki/ocsp-cert-id.ts';
import { readPem, writePem } from '../../src/pki/pem.ts';
import { workingKeyOnPath } from '../../src/pki/working-key.ts';
import {
  distinguishedName,
  ecKey,
  generalName,
  keyUsage,
  makeCa,
  makeCertificate,
  makeEnd,
  subjectAltName,
} from './make-certificate.ts';

/** What is written is read the same, and what was signed is not good with anything changed. */

const ca = makeCa('CA');

describe('PEM', () => {
  it('comes back with its label and octets, any number of them, with text between', () => {
    const label = fc.constantFrom('CERTIFICATE', 'X509 CRL', 'PKCS7', 'PRIVATE KEY', 'A-B', '');
    const object = fc.record({ label, der: fc.uint8Array({ minLength: 1, maxLength: 200 }) });
    const text = fc.constantFrom('', 'subject=CN\n', '\n\n', 'a: b\r\n');
    fc.assert(
      fc.property(fc.array(fc.tuple(text, object), { maxLength: 5 }), (pieces) => {
        const written = pieces.map(
          ([before, { label: name, der }]) => before + writePem(name, Buffer.from(der)),
        );
        const expected = pieces.map(([, { label: name, der }]) => ({ label: name, der: Buffer.from(der) }));
        expect(readPem(written.join(''))).toEqual(expected);
        expect(readPem(written.join('').replaceAll(/\r?\n/g, '\r\n'))).toEqual(expected);
      }),
    );
  });
});

describe('CertID (RFC 6960 §4.1.1)', () => {
  it('names the certificate it was written for and no other', () => {
    const digest = fc.constantFrom('sha1', 'sha256', 'sha384', 'sha512');
    const serial = fc.integer({ min: 1, max: 0x7fff_ffff });
    fc.assert(
      fc.property(digest, serial, serial, (name, one, two) => {
        const certificate = makeCertificate({
          subject: 'Bob',
          issuer: 'CA',
          key: ecKey('Bob'),
          issuerKey: ecKey('CA'),
          serial: one,
        });
        const id = parseCertId(sequenceOf(readWhole(writeCertId(name, certificate, ca), 'DER'), 'DER'));
        expect(id).toMatchObject({ digest: name, serialNumber: certificate.serialNumber });
        expect(certIdMatches(id, certificate, ca)).toBe(true);
        const other = makeCertificate({
          subject: 'Bob',
          issuer: 'CA',
          key: ecKey('Bob'),
          issuerKey: ecKey('CA'),
          serial: two,
        });
        expect(certIdMatches(id, other, ca)).toBe(one === two);
      }),
      { numRuns: 30 },
    );
  });
});

describe('names', () => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .filter((each) => each.isWellFormed());

  it('have the texts that were written, and are shown without controls', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('2.5.4.3', '2.5.4.10', '1.2.3'), text), {
          minLength: 1,
          maxLength: 5,
        }),
        (parts) => {
          const name = parseName(readWhole(distinguishedName(...parts), 'DER'));
          expect(name.attributes).toEqual(parts.map(([type, value]) => ({ type, value })));
          expect(nameForPeople(name)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
        },
      ),
    );
  });

  it('are the same in every type of string', () => {
    const types: ((value: string) => Buffer)[] = [
      (value) => element(12, Buffer.from(value)),
      (value) => element(30, Buffer.from(value, 'utf16le').swap16()),
      (value) => element(28, utf32(value)),
    ];
    const plane = text.filter((value) => !/[\u{10000}-\u{10ffff}]/u.test(value));
    fc.assert(
      fc.property(plane, fc.nat(2), fc.nat(2), (value, one, two) => {
        const named = (type: number) =>
          parseName(
            readWhole(distinguishedName(['2.5.4.3', types[type]?.(value) ?? Buffer.alloc(0)]), 'DER'),
          );
        expect(sameName(named(one), named(two))).toBe(true);
      }),
    );
  });
});

function utf32(value: string): Buffer {
  return Buffer.concat(
    [...value].map((character) => {
      const octets = Buffer.alloc(4);
      octets.writeUInt32BE(character.codePointAt(0) ?? 0);
      return octets;
    }),
  );
}

describe('a certificate', () => {
  it('with one octet changed is malformed or not its issuer’s', () => {
    const { der } = makeEnd('Bob', 'CA', [
      keyUsage(0),
      subjectAltName(generalName.mailbox('bob@example.org')),
    ]);
    const whole = parseCertificate(der);
    const key = workingKeyOnPath(ca, []);
    if (key === null) throw new Error('no key');
    const budget = { left: 10_000 };
    expect(certificateSignature(whole, key, budget)).toBe('good');
    for (let at = 0; at < der.length; at++) {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      try {
        expect(certificateSignature(parseCertificate(changed), key, budget), `octet ${at}`).not.toBe('good');
      } catch (error) {
        if (!(error instanceof SealgateError)) throw error;
        expect(error.code).toMatch(/^(pki|asn1)\.malformed$/);
      }
    }
  });

  it('is read in the octets that it was written in, and never with more behind it', () => {
    const { der } = makeEnd('Bob', 'CA');
    const reader = sequenceOf(readWhole(der, 'DER'), 'DER');
    const parts = [reader.next().raw, reader.next().raw, reader.next().raw];
    expect(sequence(...parts)).toEqual(der);
    expect(() => parseCertificate(sequence(...parts, integer(1)))).toThrow(SealgateError);
    expect(() => parseCertificate(Buffer.concat([der, Buffer.alloc(1)]))).toThrow(SealgateError);
    expect(() => parseCertificate(sequence(...parts.slice(0, 2), bitString(Buffer.alloc(1), 1)))).toThrow(
      SealgateError,
    );
  });
});
