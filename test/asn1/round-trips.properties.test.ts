import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Element, implicitly, universal } from '../../src/asn1/element.ts';
import { children, readWhole } from '../../src/asn1/reader.ts';
import { sequenceOf } from '../../src/asn1/sequence-reader.ts';
import { characterString } from '../../src/asn1/strings.ts';
import { timeValue } from '../../src/asn1/times.ts';
import { definiteLengths } from '../../src/asn1/transcode.ts';
import {
  bigInteger,
  bitString,
  booleanValue,
  enumerated,
  octetString,
  smallInteger,
  unsignedOctets,
} from '../../src/asn1/values.ts';
import * as der from '../../src/asn1/writer.ts';

/** Every writer with its reader. */

const read = (octets: Buffer): Element => readWhole(octets, 'DER');
const octets = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));
const buffers = fc.array(octets, { maxLength: 6 });

describe('simple values', () => {
  it('numbers', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }), (value) => {
        expect(bigInteger(read(der.integer(value)))).toBe(value);
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 47), max: 2 ** 47 - 1 }), (value) => {
        expect(smallInteger(read(der.integer(value)))).toBe(value);
        expect(enumerated(read(der.enumerated(value)))).toBe(value);
      }),
    );
    fc.assert(
      fc.property(octets, (magnitude) => {
        const value = magnitude.length === 0 ? 0n : BigInt(`0x${magnitude.toString('hex')}`);
        const element = read(der.unsignedInteger(magnitude));
        expect(bigInteger(element)).toBe(value);
        expect(BigInt(`0x${unsignedOctets(element).toString('hex')}`)).toBe(value);
      }),
    );
  });

  it('strings of octets and of bits, and truth', () => {
    fc.assert(
      fc.property(octets, fc.boolean(), (value, truth) => {
        expect(octetString(read(der.octetString(value)), 'DER')).toEqual(value);
        expect(bitString(read(der.bitString(value)), 'DER')).toEqual({ octets: value, unusedBits: 0 });
        expect(booleanValue(read(der.boolean(truth)), 'DER')).toBe(truth);
      }),
    );
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(40)), (bits) => {
        const { octets: set, unusedBits } = bitString(read(der.namedBits(bits)), 'DER');
        const found = [...set].flatMap((octet, i) =>
          Array.from({ length: 8 }, (_, bit) => bit)
            .filter((bit) => (octet & (0x80 >> bit)) !== 0)
            .map((bit) => i * 8 + bit),
        );
        expect(found).toEqual([...bits].sort((a, b) => a - b));
        expect(set.length * 8 - unusedBits).toBe(bits.length === 0 ? 0 : Math.max(...bits) + 1);
      }),
    );
  });

  it('texts', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary-ascii' }), (text, ascii) => {
        expect(characterString(read(der.utf8String(text)), 'DER')).toBe(text);
        expect(characterString(read(der.ia5String(ascii)), 'DER')).toBe(ascii);
      }),
    );
  });

  it('times, to the second', () => {
    const date = fc.date({
      min: new Date('0001-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(date, (value) => {
        const seconds = Math.floor(value.getTime() / 1_000) * 1_000;
        expect(timeValue(read(der.time(value)), 'DER').getTime()).toBe(seconds);
        expect(timeValue(read(der.generalizedTime(value)), 'DER').getTime()).toBe(seconds);
      }),
    );
  });
});

describe('what is made of others', () => {
  const raws = (element: Element): Buffer[] => children(element, 'DER').map(({ raw }) => raw);

  it('sequences keep their order, sets have that of DER, and neither loses any', () => {
    fc.assert(
      fc.property(buffers, (values) => {
        const parts = values.map((value) => der.octetString(value));
        expect(raws(read(der.sequence(...parts)))).toEqual(parts);
        const ordered = raws(read(der.setOf(parts)));
        expect(ordered).toEqual([...parts].sort(Buffer.compare));
        expect(Buffer.concat(der.pieces(der.identifiers.sequence, parts))).toEqual(der.sequence(...parts));
      }),
    );
  });

  it('tags are put on and taken off', () => {
    fc.assert(
      fc.property(fc.nat(30), octets, (tag, value) => {
        const plain = der.octetString(value);
        const explicit = sequenceOf(read(der.sequence(der.explicit(tag, plain))), 'DER');
        expect(explicit.optionalExplicit(tag)?.raw).toEqual(plain);
        const tagged = sequenceOf(read(der.sequence(der.implicit(tag, plain))), 'DER').optionalContext(tag);
        if (tagged === null) throw new Error('the tag is not there');
        expect(octetString(implicitly(tagged, universal.octetString), 'DER')).toEqual(value);
        expect(der.implicitPrimitive(tag, value)).toEqual(tagged.raw);
      }),
    );
  });

  it('DER with definite lengths is itself', () => {
    const { tree } = fc.letrec<{ tree: Buffer }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        octets.map((value) => der.octetString(value)),
        fc.nat().map((value) => der.integer(value)),
        fc.array(tie('tree'), { maxLength: 4 }).map((parts) => der.sequence(...parts)),
        fc.array(tie('tree'), { maxLength: 4 }).map((parts) => der.setOf(parts)),
        fc.tuple(fc.nat(30), tie('tree')).map(([tag, part]) => der.explicit(tag, part)),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        expect(definiteLengths(read(value))).toEqual(value);
      }),
    );
  });
});
