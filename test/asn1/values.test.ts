import { describe, expect, it } from 'vitest';
import { implicitly, universal } from '../../src/asn1/element.ts';
import { decodeOid, encodeOid } from '../../src/asn1/oid.ts';
import { type Rules, readWhole } from '../../src/asn1/reader.ts';
import { characterString } from '../../src/asn1/strings.ts';
import { timeValue } from '../../src/asn1/times.ts';
import {
  bigInteger,
  bitString,
  booleanValue,
  enumerated,
  nullValue,
  objectIdentifier,
  octetString,
  smallInteger,
  unsignedOctets,
  wholeBitString,
} from '../../src/asn1/values.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const read = (text: string, rules: Rules = 'BER') => readWhole(hex(text), rules);
const malformed = expect.objectContaining({ code: 'asn1.malformed' });
const tlv = (tag: number, content: string | Buffer): Buffer => {
  const octets = Buffer.from(content);
  return Buffer.concat([Buffer.from([tag, octets.length]), octets]);
};

describe('INTEGER and ENUMERATED', () => {
  it.each([
    ['02 01 00', 0n],
    ['02 01 7f', 127n],
    ['02 02 00 80', 128n],
    ['02 01 80', -128n],
    ['02 02 ff 7f', -129n],
    ['02 09 00 ff ff ff ff ff ff ff ff', 2n ** 64n - 1n],
  ])('%s is %s', (octets, value) => {
    expect(bigInteger(read(octets))).toBe(value);
  });

  it.each(['02 00', '02 02 00 7f', '02 02 ff 80', '04 01 05'])('refuses %s under both rules', (octets) => {
    expect(() => bigInteger(read(octets))).toThrow(malformed);
  });

  it('gives small numbers exactly and refuses larger ones', () => {
    expect(smallInteger(read('02 06 7f ff ff ff ff ff'))).toBe(2 ** 47 - 1);
    expect(smallInteger(read('02 01 ff'))).toBe(-1);
    expect(() => smallInteger(read('02 07 01 00 00 00 00 00 00'))).toThrow(malformed);
    expect(enumerated(read('0a 01 06'))).toBe(6);
    expect(() => enumerated(read('02 01 06'))).toThrow(malformed);
  });

  it('gives magnitudes without the sign octet and refuses negative ones', () => {
    expect(unsignedOctets(read('02 02 00 80'))).toEqual(hex('80'));
    expect(unsignedOctets(read('02 01 00'))).toEqual(hex('00'));
    expect(() => unsignedOctets(read('02 01 80'))).toThrow(malformed);
  });
});

describe('BOOLEAN and NULL', () => {
  it('knows one TRUE in DER and many in BER (X.690 §11.1)', () => {
    expect(booleanValue(read('01 01 ff'), 'DER')).toBe(true);
    expect(booleanValue(read('01 01 00'), 'DER')).toBe(false);
    expect(booleanValue(read('01 01 01'), 'BER')).toBe(true);
    expect(() => booleanValue(read('01 01 01'), 'DER')).toThrow(malformed);
    expect(() => booleanValue(read('01 00'), 'BER')).toThrow(malformed);
    expect(() => booleanValue(read('01 02 00 00'), 'BER')).toThrow(malformed);
  });

  it('refuses a NULL with content', () => {
    expect(nullValue(read('05 00'))).toBeUndefined();
    expect(() => nullValue(read('05 01 00'))).toThrow(malformed);
  });
});

describe('OBJECT IDENTIFIER', () => {
  it.each([
    ['1.2.840.113549.1.7.2', '2a864886f70d010702'],
    ['2.5.29.17', '551d11'],
    ['0.0', '00'],
    ['0.39', '27'],
    ['1.0', '28'],
    ['2.999', '8837'],
    ['2.25.329800735698586629295641978511506172918', '6983f09da7ebcfdee0c7a1a7b2c0948cc8f9d776'],
  ])('%s', (dotted, octets) => {
    expect(encodeOid(dotted).toString('hex')).toBe(octets);
    expect(decodeOid(hex(octets))).toBe(dotted);
    expect(objectIdentifier(readWhole(tlv(6, hex(octets)), 'DER'))).toBe(dotted);
  });

  it.each(['', '80 01', '2a 80 01', '2a 86', 'ff'])('refuses the octets "%s"', (octets) => {
    expect(() => decodeOid(hex(octets))).toThrow(malformed);
  });

  it.each(['', '1', '3.1', '1.40', '1.2.', '1..2', '1.02', '1.-2', 'a.b', '1.2\n'])(
    'refuses to write "%s"',
    (dotted) => {
      expect(() => encodeOid(dotted)).toThrow(malformed);
    },
  );

  it('bounds the length in both directions', () => {
    expect(() => decodeOid(Buffer.alloc(129, 1))).toThrow(malformed);
    expect(() => encodeOid(`1.2.${'9'.repeat(1_000)}`)).toThrow(malformed);
  });
});

describe('BIT STRING and OCTET STRING', () => {
  it('gives octets and unused bits', () => {
    expect(bitString(read('03 02 03 a8'), 'DER')).toEqual({ octets: hex('a8'), unusedBits: 3 });
    expect(bitString(read('03 01 00'), 'DER')).toEqual({ octets: hex(''), unusedBits: 0 });
    expect(wholeBitString(read('03 03 00 01 02'), 'DER')).toEqual(hex('01 02'));
    expect(() => wholeBitString(read('03 02 03 a8'), 'DER')).toThrow(malformed);
  });

  it.each(['03 00', '03 01 01', '03 02 08 00'])('refuses %s', (octets) => {
    expect(() => bitString(read(octets), 'BER')).toThrow(malformed);
  });

  it('asks for zero in unused bits in DER only (X.690 §11.2.1)', () => {
    expect(() => bitString(read('03 02 03 a9'), 'DER')).toThrow(malformed);
    expect(bitString(read('03 02 03 a9'), 'BER').unusedBits).toBe(3);
  });

  it('joins segments in BER, however they are nested', () => {
    expect(octetString(read('24 80 04 01 61 24 06 04 01 62 04 01 63 04 00 00 00'), 'BER').toString()).toBe(
      'abc',
    );
    expect(octetString(read('24 00'), 'BER')).toHaveLength(0);
    expect(bitString(read('23 08 03 02 00 ff 03 02 04 f0'), 'BER')).toEqual({
      octets: hex('ff f0'),
      unusedBits: 4,
    });
  });

  it('refuses segments of another type and unused bits before the end', () => {
    expect(() => octetString(read('24 03 03 01 00'), 'BER')).toThrow(malformed);
    expect(() => octetString(read('24 03 0c 01 61'), 'BER')).toThrow(malformed);
    expect(() => bitString(read('23 08 03 02 04 f0 03 02 00 ff'), 'BER')).toThrow(malformed);
  });

  it('reads an implicit tag only when told which type it stands for', () => {
    const tagged = read('a0 06 04 01 61 04 01 62');
    expect(() => octetString(tagged, 'BER')).toThrow(malformed);
    expect(octetString(implicitly(tagged, universal.octetString), 'BER').toString()).toBe('ab');
  });
});

describe('character strings', () => {
  it.each([
    [0x0c, Buffer.from('Zoë'), 'Zoë'],
    [0x13, Buffer.from('a@b'), 'a@b'],
    [0x16, Buffer.from('a_b'), 'a_b'],
    [0x14, Buffer.from([0xe9]), 'é'],
    [0x1e, hex('00 5a 00 6f 00 eb d8 3d de 00'), 'Zoë😀'],
    [0x1c, hex('00 00 00 5a 00 01 f6 00'), 'Z😀'],
    [0x1a, Buffer.from('x'), 'x'],
    [0x12, Buffer.from('12'), '12'],
  ])('tag %i', (tag, content, text) => {
    expect(characterString(readWhole(tlv(tag, content), 'DER'), 'DER')).toBe(text);
  });

  it.each([
    [0x0c, hex('c0 80')],
    [0x0c, hex('ed a0 80')],
    [0x13, hex('e9')],
    [0x16, hex('80')],
    [0x1e, hex('00')],
    [0x1e, hex('d8 3d')],
    [0x1c, hex('00 00 d8 00')],
    [0x1c, hex('00 11 00 00')],
    [0x1c, hex('00 00 5a')],
    [0x04, hex('61')],
  ])('refuses tag %i with octets that are not text of it', (tag, content) => {
    expect(() => characterString(readWhole(tlv(tag, content), 'DER'), 'DER')).toThrow(malformed);
  });

  it('keeps a NUL, so that comparisons see it', () => {
    expect(characterString(readWhole(tlv(0x16, 'good\0.evil'), 'DER'), 'DER')).toBe('good\0.evil');
  });
});

describe('times (RFC 5280 §4.1.2.5)', () => {
  const time = (tag: number, text: string, rules: Rules) =>
    timeValue(readWhole(tlv(tag, text), rules), rules);

  it.each([
    [0x17, '491231235959Z', '2049-12-31T23:59:59.000Z'],
    [0x17, '500101000000Z', '1950-01-01T00:00:00.000Z'],
    [0x17, '240229120000Z', '2024-02-29T12:00:00.000Z'],
    [0x18, '20500101000000Z', '2050-01-01T00:00:00.000Z'],
    [0x18, '99991231235959Z', '9999-12-31T23:59:59.000Z'],
    [0x18, '00010101000000Z', '0001-01-01T00:00:00.000Z'],
  ])('%i %s', (tag, text, iso) => {
    expect(time(tag, text, 'DER').toISOString()).toBe(iso);
  });

  it.each([
    [0x17, '2402291200Z', '2024-02-29T12:00:00.000Z'],
    [0x17, '240229120000+0130', '2024-02-29T10:30:00.000Z'],
    [0x18, '20240229120000.5Z', '2024-02-29T12:00:00.000Z'],
    [0x18, '20240229120000-0100', '2024-02-29T13:00:00.000Z'],
  ])('%i %s in BER only', (tag, text, iso) => {
    expect(time(tag, text, 'BER').toISOString()).toBe(iso);
    expect(() => time(tag, text, 'DER')).toThrow(malformed);
  });

  it.each([
    [0x17, '230229120000Z'],
    [0x17, '241301000000Z'],
    [0x17, '240100000000Z'],
    [0x17, '240101240000Z'],
    [0x17, '240101006000Z'],
    [0x17, '240101000060Z'],
    [0x17, '20240101000000Z'],
    [0x17, ''],
    [0x18, '20240101000000'],
    [0x18, '240101000000Z'],
    [0x04, '240101000000Z'],
  ])('refuses %i %s', (tag, text) => {
    expect(() => time(tag, text, 'DER')).toThrow(malformed);
    expect(() => time(tag, text, 'BER')).toThrow(malformed);
  });
});
