import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bitString,
  boolean,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
  time,
} from '../../src/asn1/writer.ts';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { parseCrl } from '../../src/pki/crl.ts';
import type { DistinguishedName } from '../../src/pki/name.ts';
import { corpus } from './corpora.ts';
import { ALGORITHMS, commonName, ecKey, extension, makeCa, now } from './make-certificate.ts';
import { type CrlRecipe, hour, invalidityDate, later, makeCrl, makeCrlDer } from './make-crl.ts';

const key = ecKey('CA');
const ca = makeCa('CA').subject;
const other = makeCa('Other').subject;
const serial = (number: number) => integer(number).subarray(2);
const recipe = (more: Partial<CrlRecipe> = {}): CrlRecipe => ({ issuer: 'CA', key, ...more });
const malformed = (more: Partial<CrlRecipe>) => expect(() => makeCrl(recipe(more))).toThrow(SealgateError);

describe('a CRL', () => {
  it('tells who issued it, when, and its number', () => {
    const crl = makeCrl(recipe({ number: 7, scope: { uri: 'http://ca.example/crl', indirect: true } }));
    expect(crl).toMatchObject({
      thisUpdate: later(-hour),
      nextUpdate: later(24 * hour),
      cRLNumber: 7n,
      baseCRLNumber: null,
      size: 0,
      unknownCritical: [],
    });
    expect(crl.issuer.text).toBe('CN=CA');
    expect(crl.issuingDistributionPoint).toMatchObject({ indirectCRL: true, onlySomeReasons: null });
  });

  it('tells date, reason and invalidity date of an entry, and nothing of what is not listed', () => {
    const date = later(-72 * hour);
    const extensions = [invalidityDate(later(-100 * hour))];
    const crl = makeCrl(recipe({ entries: [{ serial: 1 }, { serial: 200, date, reason: 1, extensions }] }));
    expect(crl.find(serial(200), ca)).toEqual({
      revocationDate: date,
      reason: 'keyCompromise',
      invalidityDate: later(-100 * hour),
    });
    expect(crl.find(serial(1), ca)?.reason).toBe('unspecified');
    expect(crl.find(serial(2), ca)).toBeNull();
    expect(crl.find(serial(200), other)).toBeNull();
  });

  it('compares serial numbers as they are encoded: -1 is not 255', () => {
    const crl = makeCrl(recipe({ entries: [{ serial: Buffer.from([0xff]) }] }));
    expect(crl.find(Buffer.from([0xff]), ca)).not.toBeNull();
    expect(crl.find(Buffer.from([0x00, 0xff]), ca)).toBeNull();
  });

  it('of two entries for one certificate, gives the one that revokes', () => {
    const crl = makeCrl(
      recipe({
        entries: [
          { serial: 5, reason: 8 },
          { serial: 5, reason: 1 },
        ],
      }),
    );
    expect(crl.find(serial(5), ca)?.reason).toBe('keyCompromise');
  });

  it('that is indirect: entries belong to the last named issuer, the first ones to the CRL issuer', () => {
    const crl = makeCrl(
      recipe({
        scope: { indirect: true },
        entries: [
          { serial: 1 },
          { serial: 2, issuers: ['Other'] },
          { serial: 3 },
          { serial: 1, issuers: ['Third', 'CA'] },
          { serial: 4 },
        ],
      }),
    );
    const listed = (issuer: DistinguishedName) =>
      [1, 2, 3, 4, 5].filter((number) => crl.find(serial(number), issuer) !== null);
    expect(listed(ca)).toEqual([1, 4]);
    expect(listed(other)).toEqual([2, 3]);
    expect(listed(makeCa('Third').subject)).toEqual([1, 4]);
  });

  it('names every critical extension that is not understood, of the list and of entries', () => {
    const unknown = (dotted: string, critical: boolean) => extension(dotted, nullValue(), critical);
    const crl = makeCrl(
      recipe({
        extensions: [unknown('1.2.3.4', true), unknown('1.2.3.5', false)],
        entries: [{ serial: 1 }, { serial: 2, extensions: [unknown('1.2.3.6', true)] }],
      }),
    );
    expect(crl.unknownCritical).toEqual(['1.2.3.4', '1.2.3.6']);
  });

  it('may be of version 1, without extensions and next update', () => {
    const crl = makeCrl(recipe({ version: null, nextUpdate: null, entries: [{ serial: 1 }] }));
    expect(crl).toMatchObject({ nextUpdate: null, cRLNumber: null, size: 1 });
  });

  it('may hold an empty list of entries', () => {
    expect(makeCrl(recipe({ entries: [] })).size).toBe(0);
  });

  it('keeps a copy of its own', () => {
    const der = makeCrlDer(recipe({ entries: [{ serial: 9 }] }));
    const crl = parseCrl(der);
    der.fill(0);
    expect(crl.find(serial(9), ca)).not.toBeNull();
  });

  it('of 100,000 entries is read, and every entry is found', () => {
    const entries = Array.from({ length: 100_000 }, (_, i) => ({ serial: i * 7, reason: i % 6 }));
    const crl = makeCrl(recipe({ entries }));
    expect(crl.size).toBe(100_000);
    expect(crl.find(serial(7 * 99_999), ca)?.reason).toBe('affiliationChanged');
    expect(crl.find(serial(7 * 99_999 - 1), ca)).toBeNull();
  });
});

describe('a CRL is refused', () => {
  it('with a version that does not exist', () => malformed({ version: 0 }));
  it('of version 1 with extensions', () => malformed({ version: null, number: 1 }));
  it('of version 1 with entry extensions', () =>
    malformed({ version: null, entries: [{ serial: 1, reason: 1 }] }));
  it('with a reason that does not exist', () => malformed({ entries: [{ serial: 1, reason: 7 }] }));
  it('with a negative number', () => malformed({ number: -1 }));
  it('with certificateIssuer where it is not indirect', () =>
    malformed({ entries: [{ serial: 1, issuers: ['Other'] }] }));
  it('with two scopes that exclude each other', () => {
    const both = sequence(Buffer.from([0x81, 1, 0xff]), Buffer.from([0x82, 1, 0xff]));
    malformed({ extensions: [extension('2.5.29.28', both, true)] });
  });
  it('with an extension that stands there twice', () =>
    malformed({ number: 1, extensions: [extension('2.5.29.20', integer(2))] }));
  it('that is too long', () =>
    expect(() => parseCrl(Buffer.alloc(limits.pki.crlOctets + 1))).toThrow(/too long/));

  it('with an outer algorithm that differs from the inner one', () => {
    const tbs = sequence(ALGORITHMS['rsa-sha256'], commonName('CA'), time(now));
    const der = sequence(tbs, ALGORITHMS['ecdsa-sha256'], bitString(Buffer.alloc(8)));
    expect(() => parseCrl(der)).toThrow(/differs/);
  });

  it('with an entry that is no entry, wherever it stands', () => {
    for (const bad of [
      integer(1),
      sequence(integer(1)),
      sequence(integer(1), time(now), sequence(), sequence()),
      sequence(integer(1), octetString(Buffer.alloc(3))),
      sequence(oid('1.2.3'), boolean(true)),
    ]) {
      const entries = sequence(sequence(integer(3), time(now)), bad);
      const tbs = sequence(integer(1), ALGORITHMS['ecdsa-sha256'], commonName('CA'), time(now), entries);
      const der = sequence(tbs, ALGORITHMS['ecdsa-sha256'], bitString(Buffer.alloc(8)));
      expect(() => parseCrl(der)).toThrow(SealgateError);
    }
  });
});

describe('damaged CRLs', () => {
  const samples = [
    makeCrlDer(
      recipe({
        number: 3,
        scope: { names: ['CA', 'Other'], uri: 'http://x.example/', reasons: [1, 2], indirect: true },
        entries: [{ serial: 1 }, { serial: 2, reason: 1, issuers: ['Other'] }],
      }),
    ),
    ...readdirSync(corpus('pkits', 'crls'))
      .filter((_, i) => i % 12 === 0)
      .map((file) => readFileSync(join(corpus('pkits', 'crls'), file))),
  ];

  /** The only way out besides a result. */
  function parses(der: Buffer): void {
    try {
      const crl = parseCrl(der);
      crl.find(serial(1), crl.issuer);
    } catch (error) {
      expect(error).toBeInstanceOf(SealgateError);
    }
  }

  it('give an error of ours or a CRL, whatever octets change', () => {
    const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(
        fc.constantFrom(...samples),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (sample, changes) => {
          const der = Buffer.from(sample);
          for (const [place, octet] of changes) der[place % der.length] = octet;
          parses(der);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('give an error of ours wherever they are cut', () => {
    const [sample = Buffer.alloc(0)] = samples;
    for (let length = 0; length < sample.length; length++) {
      expect(() => parseCrl(sample.subarray(0, length))).toThrow(SealgateError);
    }
  });

  it('give an error of ours where anything at all comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (octets) => parses(Buffer.from(octets))),
      { numRuns: 2_000 },
    );
  });
});
