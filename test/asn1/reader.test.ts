import { describe, expect, it } from 'vitest';
import { isUniversal, universal } from '../../src/asn1/element.ts';
import { children, readElement, readWhole } from '../../src/asn1/reader.ts';
import { explicitly, SequenceReader, sequenceOf } from '../../src/asn1/sequence-reader.ts';
import { integerOctets, octetString, smallInteger } from '../../src/asn1/values.ts';
import { limits } from '../../src/limits.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const malformed = expect.objectContaining({ code: 'asn1.malformed', duration: 'permanent' });

describe('elements (X.690 §8.1)', () => {
  it('gives views on the input, with offsets from the outermost octet', () => {
    const input = hex('30 06 02 01 05 02 01 07');
    const whole = readWhole(input, 'DER');
    const [first, second] = children(whole, 'DER');
    expect(first?.offset).toBe(2);
    expect(second?.offset).toBe(5);
    expect(second?.raw.buffer).toBe(input.buffer);
    expect(second === undefined ? null : smallInteger(second)).toBe(7);
  });

  it('reads one element and leaves what follows; readWhole refuses what follows', () => {
    const input = hex('02 01 05 ff');
    expect(readElement(input, 'DER').raw).toEqual(hex('02 01 05'));
    expect(() => readWhole(input, 'DER')).toThrow(malformed);
  });

  it('reads the class, the number and the form of a tag, also of a long one', () => {
    const element = readWhole(hex('bf 8f 7f 02 05 00'), 'DER');
    expect(element).toMatchObject({ tagClass: 'context', tag: 2047, constructed: true });
    expect(readWhole(hex('40 00'), 'DER').tagClass).toBe('application');
    expect(readWhole(hex('c1 00'), 'DER')).toMatchObject({ tagClass: 'private', tag: 1 });
  });

  it.each([
    ['nothing at all', ''],
    ['an identifier without a length', '30'],
    ['content that is cut off', '04 05 00 00'],
    ['a length that is cut off', '04 82 01'],
    ['a length of 2^64 and more', '04 89 01 00 00 00 00 00 00 00 00'],
    ['126 length octets', `04 fe ${'ff '.repeat(126)}`],
    ['the reserved length octet', '04 ff 00'],
    ['a tag number without end', `1f ${'ff '.repeat(20)}`],
    ['a tag number with leading zeros', '9f 80 21 00'],
    ['a long tag for a small number', '9f 05 00'],
    ['end-of-contents out of place', '00 00'],
    ['end-of-contents in a definite length', '30 02 00 00'],
    ['a primitive SEQUENCE', '10 00'],
    ['a primitive SET', '11 00'],
    ['a constructed INTEGER', '22 03 02 01 05'],
    ['a constructed OBJECT IDENTIFIER', '26 00'],
    ['a constructed NULL', '25 00'],
    ['an indefinite length of a primitive', '04 80 00 00'],
    ['an indefinite length that never ends', '30 80 02 01 05'],
    ['an indefinite length with half an end', '30 80 02 01 05 00'],
  ])('refuses %s under both rules', (_name, octets) => {
    for (const rules of ['DER', 'BER'] as const) {
      expect(() => {
        const element = readWhole(hex(octets), rules);
        if (element.constructed) children(element, rules);
      }).toThrow(malformed);
    }
  });

  it.each([
    ['an indefinite length', '30 80 02 01 05 00 00'],
    ['a long form for a short length', '04 81 01 ff'],
    ['a length with leading zeros', '04 82 00 01 ff'],
    ['a constructed OCTET STRING', '24 03 04 01 ff'],
  ])('takes %s in BER and refuses it in DER', (_name, octets) => {
    expect(() => readWhole(hex(octets), 'DER')).toThrow(malformed);
    expect(readWhole(hex(octets), 'BER').raw).toEqual(hex(octets));
  });

  it('keeps end-of-contents out of the content, and in raw', () => {
    const element = readWhole(hex('30 80 30 80 02 01 05 00 00 00 00'), 'BER');
    expect(element.content).toEqual(hex('30 80 02 01 05 00 00'));
    expect(children(element, 'BER').map((child) => child.raw.toString('hex'))).toEqual(['30800201050000']);
  });

  it('does not take zeros inside a definite child for the end', () => {
    const element = readWhole(hex('24 80 04 04 00 00 00 00 04 02 00 00 00 00'), 'BER');
    expect(octetString(element, 'BER')).toEqual(Buffer.alloc(6));
  });

  it('says where the damage is', () => {
    expect(() => {
      const outer = readWhole(hex('30 05 30 03 02 05 00'), 'DER');
      children(children(outer, 'DER')[0] ?? outer, 'DER');
    }).toThrow(/octet 5/);
  });
});

describe('bounds', () => {
  it('refuses nesting of indefinite lengths beyond the limit', () => {
    const nested = (depth: number): Buffer =>
      Buffer.concat([Buffer.from('3080'.repeat(depth), 'hex'), Buffer.alloc(depth * 2)]);
    expect(readWhole(nested(limits.asn1.depth), 'BER').constructed).toBe(true);
    expect(() => readWhole(nested(limits.asn1.depth + 1), 'BER')).toThrow(malformed);
    expect(() => readWhole(nested(1_000_000), 'BER')).toThrow(malformed);
  });

  it('refuses a bomb of nested constructed strings without recursion', () => {
    let bomb = hex('04 01 41');
    for (let i = 0; i < 5_000; i++) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bomb.length);
      bomb = Buffer.concat([hex('24 84'), length, bomb]);
    }
    expect(() => octetString(readWhole(bomb, 'BER'), 'BER')).toThrow(malformed);
  });

  it('refuses more elements than the limit, in a row and in an indefinite length', () => {
    const many = Buffer.alloc((limits.asn1.elements + 1) * 2);
    for (let i = 0; i < many.length; i += 2) many[i] = 5;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(many.length);
    expect(() => children(readWhole(Buffer.concat([hex('30 84'), length, many]), 'BER'), 'BER')).toThrow(
      malformed,
    );
    expect(() => readWhole(Buffer.concat([hex('30 80'), many, hex('00 00')]), 'BER')).toThrow(malformed);
  });
});

describe('walking a SEQUENCE', () => {
  const example = hex('30 0f 02 01 01 a0 03 02 01 02 81 01 ff 04 02 68 69');

  it('takes components in their order, optional ones by their tag', () => {
    const reader = sequenceOf(readWhole(example, 'DER'), 'DER');
    expect(smallInteger(reader.universal(universal.integer, 'version'))).toBe(1);
    expect(reader.optionalUniversal(universal.sequence)).toBeNull();
    const inner = reader.optionalExplicit(0);
    expect(inner === null ? null : integerOctets(inner)).toEqual(hex('02'));
    expect(reader.optionalContext(0)).toBeNull();
    expect(reader.optionalContext(1)?.content).toEqual(hex('ff'));
    expect(reader.atEnd).toBe(false);
    const last = reader.peek();
    expect(last !== null && isUniversal(last, universal.octetString)).toBe(true);
    expect(reader.next().content.toString()).toBe('hi');
    expect(reader.atEnd).toBe(true);
    reader.end();
  });

  it('refuses a missing component, a wrong tag and a component too many', () => {
    const reader = new SequenceReader(readWhole(hex('30 03 02 01 01'), 'DER'), 'DER');
    expect(() => reader.universal(universal.octetString)).toThrow(malformed);
    expect(() => reader.end()).toThrow(malformed);
    reader.next();
    expect(() => reader.next('the content')).toThrow(/the content is missing/);
    expect(() => sequenceOf(readWhole(hex('31 00'), 'DER'), 'DER')).toThrow(malformed);
    expect(() => new SequenceReader(readWhole(hex('80 00'), 'DER'), 'DER')).toThrow(malformed);
  });

  it('refuses an explicit tag around nothing and around two elements', () => {
    expect(() => explicitly(readWhole(hex('a0 00'), 'DER'), 'DER')).toThrow(malformed);
    expect(() => explicitly(readWhole(hex('a0 04 05 00 05 00'), 'DER'), 'DER')).toThrow(malformed);
  });
});
