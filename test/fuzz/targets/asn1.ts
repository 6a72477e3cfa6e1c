import { contentOffset, type Element, universal } from '../../../src/asn1/element.ts';
import { decodeOid, encodeOid } from '../../../src/asn1/oid.ts';
import { children, type Rules, readElement, readWhole } from '../../../src/asn1/reader.ts';
import { characterString } from '../../../src/asn1/strings.ts';
import { timeValue } from '../../../src/asn1/times.ts';
import { definiteLengths } from '../../../src/asn1/transcode.ts';
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
} from '../../../src/asn1/values.ts';
import * as der from '../../../src/asn1/writer.ts';
import { SealgateError } from '../../../src/errors.ts';
import { generalName, makeCa, makeEnd, subjectAltName } from '../../pki/make-certificate.ts';
import { type FuzzTarget, holds, isViewOf } from '../target.ts';

const allowed = ['asn1.malformed'];

function seeds(): Buffer[] {
  const now = new Date('2026-01-01T00:00:00Z');
  const strings = [
    der.utf8String('Grüße'),
    der.printableString('Plain'),
    der.ia5String('a@b'),
    der.element(universal.bmpString, Buffer.from('\0h\0i', 'latin1')),
    der.element(universal.universalString, Buffer.from('\0\0\0h', 'latin1')),
    der.element(universal.t61String, Buffer.from('x')),
  ];
  return [
    makeEnd('Bob', 'CA', [subjectAltName(generalName.mailbox('bob@example.org'))]).der,
    makeCa('CA').der,
    der.sequence(...strings, der.time(now), der.generalizedTime(now)),
    der.sequence(
      der.integer(-1),
      der.integer(2n ** 70n),
      der.enumerated(3),
      der.boolean(true),
      der.nullValue(),
    ),
    der.sequence(
      der.oid('2.25.329800735698586629295641978511506172918'),
      der.bitString(Buffer.from([0xa0]), 5),
    ),
    Buffer.from('2480040261620401632480040164000000000000', 'hex'),
    Buffer.from('3080a0802480040161000000000000', 'hex'),
    Buffer.from('23080302000103020102', 'hex'),
    Buffer.from('1f8148017f', 'hex'),
  ];
}

/** All elements below, with what must hold of each. */
function walk(element: Element, rules: Rules, whole: Buffer, depth = 0): number {
  holds(
    isViewOf(element.raw, whole) && isViewOf(element.content, element.raw),
    'an element lies in its input',
  );
  holds(whole.byteOffset + element.offset === element.raw.byteOffset, 'offset tells where the element is');
  holds(contentOffset(element) === element.content.byteOffset - whole.byteOffset, 'so does contentOffset');
  if (!element.constructed || depth > 64) return 1;
  let count = 1;
  let octets = 0;
  for (const child of children(element, rules)) {
    octets += child.raw.length;
    count += walk(child, rules, whole, depth + 1);
  }
  holds(octets === element.content.length, 'children make up the content');
  return count;
}

function orCode<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealgateError && error.code === 'asn1.malformed') return error.code;
    throw error;
  }
}

/** What each decoder says about one element. */
function values(element: Element, rules: Rules): unknown[] {
  return [
    orCode(() => bigInteger(element)),
    orCode(() => smallInteger(element)),
    orCode(() => unsignedOctets(element)),
    orCode(() => enumerated(element)),
    orCode(() => objectIdentifier(element)),
    orCode(() => booleanValue(element, rules)),
    orCode(() => nullValue(element) ?? null),
    orCode(() => octetString(element, rules)),
    orCode(() => bitString(element, rules)),
    orCode(() => characterString(element, rules)),
    orCode(() => timeValue(element, rules)),
  ];
}

/** What was read in DER is written the same way. */
function roundTrip(element: Element): void {
  if (element.tagClass !== 'universal' || element.constructed) return;
  const again = orCode(() => {
    switch (element.tag) {
      case universal.integer:
        return der.integer(bigInteger(element));
      case universal.objectIdentifier:
        return der.oid(objectIdentifier(element));
      case universal.boolean:
        return der.boolean(booleanValue(element, 'DER'));
      case universal.octetString:
        return der.octetString(octetString(element, 'DER'));
      case universal.bitString: {
        const { octets, unusedBits } = bitString(element, 'DER');
        return der.bitString(octets, unusedBits);
      }
      case universal.utf8String:
        return der.utf8String(characterString(element, 'DER'));
      case universal.utcTime:
        return der.utcTime(timeValue(element, 'DER'));
      case universal.generalizedTime:
        return der.generalizedTime(timeValue(element, 'DER'));
      default:
        return element.raw;
    }
  });
  holds(
    typeof again === 'string' || again.equals(element.raw),
    `universal ${element.tag} is written as it was read`,
  );
}

function* leaves(element: Element, rules: Rules, depth = 0): Generator<Element> {
  yield element;
  if (!element.constructed || depth > 20) return;
  const inside = orCode(() => children(element, rules));
  if (typeof inside === 'string') return;
  for (const child of inside) yield* leaves(child, rules, depth + 1);
}

export const asn1Targets: readonly FuzzTarget[] = [
  {
    name: 'asn1-reader',
    form: 'tlv',
    allowed,
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const ber = orCode(() => walk(readWhole(input, 'BER'), 'BER', input));
        const strict = orCode(() => walk(readWhole(input, 'DER'), 'DER', input));
        if (typeof strict === 'number') holds(ber === strict, 'DER is BER');
        const head = orCode(() => readElement(input, 'BER').raw.length);
        return [ber, strict, head];
      },
    }),
  },
  {
    name: 'asn1-values',
    form: 'tlv',
    allowed,
    // Every decoder reads every element, whole strings again for each of their segments.
    maxOctets: 8_192,
    budget: { ms: 100, usPerOctet: 1 },
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const found: unknown[] = [];
        for (const rules of ['BER', 'DER'] as const) {
          const whole = orCode(() => readWhole(input, rules));
          if (typeof whole === 'string') continue;
          let left = 200;
          for (const element of leaves(whole, rules)) {
            if (--left === 0) break;
            found.push(values(element, rules));
            if (rules === 'DER') roundTrip(element);
          }
        }
        return found;
      },
    }),
  },
  {
    name: 'asn1-transcode',
    form: 'tlv',
    allowed,
    // Each element is written anew, and the shortest ones have two octets: 2 us each, twice.
    budget: { ms: 50, usPerOctet: 4 },
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const once = definiteLengths(readWhole(input, 'BER'));
        const again = definiteLengths(readWhole(once, 'BER'));
        holds(again.equals(once), 'definite lengths stay as they are');
        return once;
      },
    }),
  },
  {
    name: 'asn1-oid',
    form: 'octets',
    allowed,
    maxOctets: 4_096,
    dictionary: ['2.25.', '1.2.840.', '\x80', '\xff'],
    prepare: () => ({
      seeds: ['2b0601050507', '2a864886f70d01', '883703', '69b1f1'].map((hex) => Buffer.from(hex, 'hex')),
      run(input) {
        const text = decodeOid(input);
        holds(encodeOid(text).equals(input), 'an identifier is written as it was read');
        return text;
      },
    }),
  },
];
