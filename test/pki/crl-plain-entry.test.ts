import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readElement } from '../../src/asn1/reader.ts';
import { sequenceOf } from '../../src/asn1/sequence-reader.ts';
import { timeValue } from '../../src/asn1/times.ts';
import { integerOctets } from '../../src/asn1/values.ts';
import { parseExtensions } from '../../src/pki/certificate-extensions.ts';
import { readEntryExtensions } from '../../src/pki/crl-extensions.ts';
import { plainEntry } from '../../src/pki/crl-plain-entry.ts';
import { ecKey } from './make-certificate.ts';
import { entryDer, makeCrl } from './make-crl.ts';

/** The entry by the general reader: its length; null: refused. */
function general(octets: Buffer): { length: number; unusual: boolean } | null {
  try {
    const element = readElement(octets, 'DER');
    const entry = sequenceOf(element, 'DER', 'an entry');
    integerOctets(entry.next('userCertificate'));
    timeValue(entry.next('revocationDate'), 'DER');
    const list = entry.atEnd ? null : entry.sequence('crlEntryExtensions');
    entry.end();
    const read =
      list === null
        ? null
        : readEntryExtensions(
            parseExtensions(
              readElement(octets, 'DER', octets.indexOf(Buffer.from('300c300a0603551d15', 'hex'))),
            ),
          );
    return { length: element.raw.length, unusual: read !== null && read.unknownCritical.length > 0 };
  } catch {
    return null;
  }
}

const entries = fc.record({
  serial: fc.uint8Array({ minLength: 1, maxLength: 24 }).map((octets) => {
    const serial = Buffer.from(octets);
    serial[0] = 1 + ((serial[0] ?? 0) % 127);
    return serial;
  }),
  date: fc.date({ min: new Date('1951-01-01'), max: new Date('2049-12-31'), noInvalidDate: true }),
  reason: fc.option(fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 8, 9, 10), { nil: undefined }),
});

describe('the quick way through the entries of a CRL', () => {
  test('takes what certificate authorities write', () => {
    fc.assert(
      fc.property(entries, ({ serial, date, reason }) => {
        const whole = new Date(Math.floor(date.getTime() / 1000) * 1000);
        const der = entryDer({ serial, date: whole, ...(reason === undefined ? {} : { reason }) });
        expect(plainEntry(der, 0, true)).toBe(der.length);
        expect(plainEntry(der, 0, false)).toBe(reason === undefined ? der.length : 0);
      }),
    );
  });

  test('accepts nothing that the general reader refuses, and sees the same entry', () => {
    const changed = fc.tuple(entries, fc.nat(), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(changed, ([{ serial, reason }, place, octet]) => {
        const der = entryDer({
          serial,
          date: new Date('2024-02-29T23:59:59Z'),
          ...(reason === undefined ? {} : { reason }),
        });
        der[place % der.length] = octet;
        const plain = plainEntry(der, 0, true);
        if (plain === 0) return;
        expect(general(der.subarray(0, plain))).toEqual({ length: plain, unusual: false });
      }),
      { numRuns: 3_000 },
    );
  });

  test.each([
    '250229000000Z',
    '231301000000Z',
    '230431000000Z',
    '230101240000Z',
    '23010100000 Z',
    '230101000060Z',
  ])('leaves the time %s to the general reader, which refuses it', (text) => {
    const der = entryDer({ serial: 5, date: new Date('2023-01-01T00:00:00Z') });
    der.write(text, der.length - 13, 'latin1');
    expect(plainEntry(der, 0, true)).toBe(0);
    expect(general(der)).toBeNull();
  });

  test('finds each of many serial numbers, however alike, and none that is not there', () => {
    const serials = Array.from({ length: 3_000 }, (_, i) => 70_000 + 7 * i);
    const crl = makeCrl({
      issuer: 'CA',
      key: ecKey('ca'),
      entries: serials.map((serial) => ({ serial, reason: 1 })),
    });
    const find = (serial: number) =>
      crl.find(Buffer.from([serial >> 16, (serial >> 8) & 255, serial & 255]), crl.issuer);
    expect(crl.size).toBe(3_000);
    expect(serials.every((serial) => find(serial)?.reason === 'keyCompromise')).toBe(true);
    expect(serials.some((serial) => find(serial + 1) !== null)).toBe(false);
  });
});
