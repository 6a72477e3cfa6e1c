import { describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';

const malformed = expect.objectContaining({ code: 'asn1.malformed' });
const hex = (octets: Buffer): string => octets.toString('hex');

describe('DER writer', () => {
  it.each([
    [0, '020100'],
    [127, '02017f'],
    [128, '02020080'],
    [-128, '020180'],
    [-129, '0202ff7f'],
    [2n ** 64n, '0209010000000000000000'],
  ])('integer %s', (value, octets) => {
    expect(hex(der.integer(value))).toBe(octets);
  });

  it('writes magnitudes with a sign octet only where it is needed', () => {
    expect(hex(der.unsignedInteger(Buffer.from([0, 0, 0x80])))).toBe('02020080');
    expect(hex(der.unsignedInteger(Buffer.from([0, 5])))).toBe('020105');
    expect(hex(der.unsignedInteger(Buffer.alloc(2)))).toBe('020100');
    expect(hex(der.unsignedInteger(Buffer.alloc(0)))).toBe('020100');
  });

  it.each([0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 24 - 1, 2 ** 24])(
    'length %i in the shortest form',
    (length) => {
      const octets = der.octetString(Buffer.alloc(length));
      const count = length < 128 ? 0 : Math.ceil(Math.log2(length + 1) / 8);
      expect(octets.length).toBe(2 + count + length);
    },
  );

  it('orders SET OF by encoding and SET by tag (X.690 §11.6, §10.3)', () => {
    expect(hex(der.setOf([der.integer(3), der.integer(300), der.integer(1)]))).toBe(
      '310a0201010201030202012c',
    );
    expect(hex(der.set(der.sequence(), der.implicitPrimitive(0, Buffer.alloc(0)), der.boolean(true)))).toBe(
      '31070101ff30008000',
    );
  });

  it('writes explicit and implicit tags', () => {
    expect(hex(der.explicit(0, der.integer(2)))).toBe('a003020102');
    expect(hex(der.implicit(1, der.integer(2)))).toBe('810102');
    expect(hex(der.implicit(1, der.sequence()))).toBe('a100');
    expect(hex(der.implicitConstructed(3, der.nullValue()))).toBe('a3020500');
    expect(() => der.explicit(31, der.nullValue())).toThrow(malformed);
  });

  it('writes named bits without trailing zeros (X.690 §11.2.2)', () => {
    expect(hex(der.namedBits([0, 2]))).toBe('030205a0');
    expect(hex(der.namedBits([8]))).toBe('0303070080');
    expect(hex(der.namedBits([]))).toBe('030100');
  });

  it('chooses the form of a time by its year', () => {
    expect(der.time(new Date('2049-12-31T23:59:59.999Z')).toString('latin1', 2)).toBe('491231235959Z');
    expect(der.time(new Date('1950-01-01T00:00:00Z')).toString('latin1', 2)).toBe('500101000000Z');
    expect(der.time(new Date('2050-01-01T00:00:00Z')).toString('latin1', 2)).toBe('20500101000000Z');
    expect(der.time(new Date('1949-12-31T00:00:00Z'))[0]).toBe(0x18);
    expect(() => der.utcTime(new Date('2050-01-01T00:00:00Z'))).toThrow(malformed);
    expect(() => der.time(new Date(Number.NaN))).toThrow(malformed);
  });

  it('refuses text that a string type cannot hold', () => {
    expect(() => der.printableString('a@b')).toThrow(malformed);
    expect(() => der.ia5String('é')).toThrow(malformed);
    expect(() => der.utf8String('\ud800')).toThrow(malformed);
    expect(hex(der.printableString('DE'))).toBe('13024445');
    expect(hex(der.utf8String('é'))).toBe('0c02c3a9');
  });
});

describe('the head of content that comes later', () => {
  it('is what stands in front of it when all of it is encoded at once', () => {
    for (const size of [0, 1, 120, 127, 128, 250, 256, 65_530, 70_000]) {
      const content = Buffer.alloc(size, 7);
      const [before, after] = [der.integer(size), der.oid('1.2.840.113549')];
      const whole = der.sequence(der.nullValue(), der.explicit(0, before, der.octetString(content)), after);
      const head = der.headAround(size, [
        { identifier: 0x04 },
        { identifier: 0xa0, before: [before] },
        { identifier: 0x30, before: [der.nullValue()], after: after.length },
      ]);
      expect(Buffer.concat([head, content, after])).toEqual(whole);
    }
  });

  it.each([
    [0xffff_ffff, '3084ffffffff'],
    [0x1_0000_0000, '30850100000000'],
    [0xff_ffff_ffff, '3085ffffffffff'],
    [0x100_0000_0000, '3086010000000000'],
  ])('counts %i octets', (octets, expected) => {
    expect(der.headAround(octets, [{ identifier: 0x30 }]).toString('hex')).toBe(expected);
  });
});
