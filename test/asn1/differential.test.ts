import { execFileSync } from 'node:child_process';
import * as asn1js from 'asn1js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Element } from '../../src/asn1/element.ts';
import { decodeOid, encodeOid } from '../../src/asn1/oid.ts';
import { children, type Rules, readWhole } from '../../src/asn1/reader.ts';
import { characterString } from '../../src/asn1/strings.ts';
import { timeValue } from '../../src/asn1/times.ts';
import { definiteLengths } from '../../src/asn1/transcode.ts';
import { bigInteger, bitString, booleanValue, objectIdentifier, octetString } from '../../src/asn1/values.ts';
import * as der from '../../src/asn1/writer.ts';
import { SealgateError } from '../../src/errors.ts';

/** Random trees as DER, from our writer; other people's readers must see the same. */
const leaf = fc.oneof(
  fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }).map((value) => der.integer(value)),
  fc.uint8Array({ maxLength: 300 }).map((octets) => der.octetString(octets)),
  fc.uint8Array({ maxLength: 40 }).map((octets) => der.bitString(octets)),
  fc.boolean().map((value) => der.boolean(value)),
  fc.constant(der.nullValue()),
  fc.array(fc.nat(), { maxLength: 6 }).map((arcs) => der.oid(['1.2', ...arcs].join('.'))),
  fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => der.utf8String(text)),
  fc
    .date({ min: new Date('1950-01-01'), max: new Date('2200-01-01'), noInvalidDate: true })
    .map((date) => der.time(date)),
  fc
    .tuple(fc.nat(30), fc.uint8Array({ maxLength: 20 }))
    .map(([tag, octets]) => der.implicitPrimitive(tag, octets)),
);
const { tree } = fc.letrec<{ tree: Buffer }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    leaf,
    fc.array(tie('tree'), { maxLength: 5 }).map((parts) => der.sequence(...parts)),
    fc.array(tie('tree'), { maxLength: 5 }).map((parts) => der.setOf(parts)),
    fc.tuple(fc.nat(30), tie('tree')).map(([tag, part]) => der.explicit(tag, part)),
  ),
}));

/** The same element as a streaming writer may put it: indefinite lengths, strings in segments, long length forms. */
function asBer(element: Element, choices: readonly number[], depth = 0): Buffer {
  const choice = choices[(element.offset + depth) % choices.length] ?? 0;
  const identifier = element.raw[0] ?? 0;
  const wrap = (octets: Buffer, constructed: boolean): Buffer => {
    const first = Buffer.from([constructed ? identifier | 0x20 : identifier]);
    if (constructed && choice % 2 === 0)
      return Buffer.concat([first, Buffer.from([0x80]), octets, Buffer.alloc(2)]);
    const length = Buffer.alloc(5);
    length[0] = 0x84;
    length.writeUInt32BE(octets.length, 1);
    return Buffer.concat([first, length, octets]);
  };
  if (element.constructed) {
    return wrap(
      Buffer.concat(children(element, 'DER').map((child) => asBer(child, choices, depth + 1))),
      true,
    );
  }
  if (element.tagClass === 'universal' && element.tag === 4 && choice % 3 === 0) {
    const middle = element.content.length >> 1;
    const parts = [element.content.subarray(0, middle), element.content.subarray(middle)];
    return wrap(Buffer.concat(parts.map((part) => der.octetString(part))), true);
  }
  if (
    element.tagClass === 'universal' &&
    element.tag === 3 &&
    choice % 3 === 0 &&
    element.content.length > 1
  ) {
    const parts = [der.bitString(Buffer.alloc(0)), element.raw];
    return wrap(Buffer.concat(parts), true);
  }
  return wrap(element.content, false);
}

type Row = string;

/** Offset, header length, content length, form: what `openssl asn1parse` prints of every element. */
function rows(element: Element, rules: Rules, depth = 0): Row[] {
  const own = `${element.offset}:${depth}:${element.content.byteOffset - element.raw.byteOffset}:${element.content.length}:${element.constructed}`;
  if (!element.constructed) return [own];
  return [own, ...children(element, rules).flatMap((child) => rows(child, rules, depth + 1))];
}

function opensslRows(octets: Buffer): Row[] {
  const text = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], {
    input: octets,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return text
    .toString('latin1')
    .split('\n')
    .flatMap((line) => {
      const match = /^ *(\d+):d=(\d+) +hl=(\d+) l= *(\d+) (cons|prim):/.exec(line);
      return match === null ? [] : [`${match[1]}:${match[2]}:${match[3]}:${match[4]}:${match[5] === 'cons'}`];
    });
}

function asn1jsRows(block: asn1js.BaseBlock, offset = 0, depth = 0): Row[] {
  const own = `${offset}:${depth}:${block.blockLength - block.lenBlock.length}:${block.lenBlock.length}:${block.idBlock.isConstructed}`;
  if (!block.idBlock.isConstructed) return [own];
  let position = offset + block.blockLength - block.lenBlock.length;
  return [
    own,
    ...(block as asn1js.Constructed).valueBlock.value.flatMap((child) => {
      const found = asn1jsRows(child, position, depth + 1);
      position += child.blockLength;
      return found;
    }),
  ];
}

/** null: refused, by its error field or (for times) by an exception. */
function asn1jsRead(octets: Buffer): asn1js.BaseBlock | null {
  try {
    const { result, offset } = asn1js.fromBER(octets);
    return offset === octets.length && result.error === '' ? result : null;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return null;
  }
}

function refusable(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof SealgateError) || error.code !== 'asn1.malformed') throw error;
  }
}

/** Everything a decoder can do to an element; only our own error may come out. */
function exercise(octets: Buffer, rules: Rules): 'read' | 'refused' {
  const walk = (element: Element): void => {
    if (element.tagClass === 'universal') refusable(() => definiteLengths(element));
    const decoders = [
      bigInteger,
      objectIdentifier,
      octetString,
      bitString,
      booleanValue,
      characterString,
      timeValue,
    ];
    for (const decode of decoders) refusable(() => decode(element, rules));
    if (element.constructed) for (const child of children(element, rules)) walk(child);
  };
  try {
    walk(readWhole(octets, rules));
    return 'read';
  } catch (error) {
    if (error instanceof SealgateError && error.code === 'asn1.malformed') return 'refused';
    throw error;
  }
}

describe('the same octets, other readers', () => {
  it('openssl asn1parse sees the same elements', () => {
    fc.assert(
      fc.property(tree, (octets) => {
        expect(rows(readWhole(octets, 'DER'), 'DER')).toEqual(opensslRows(octets));
      }),
      { numRuns: 25 },
    );
  });

  it('asn1js sees the same elements', () => {
    fc.assert(
      fc.property(tree, (octets) => {
        const { result, offset } = asn1js.fromBER(octets);
        expect(offset).toBe(octets.length);
        expect(rows(readWhole(octets, 'DER'), 'DER')).toEqual(asn1jsRows(result));
      }),
      { numRuns: 300 },
    );
  });

  it('what DER accepts, BER reads in the same way', () => {
    fc.assert(
      fc.property(tree, (octets) => {
        expect(rows(readWhole(octets, 'BER'), 'BER')).toEqual(rows(readWhole(octets, 'DER'), 'DER'));
      }),
      { numRuns: 200 },
    );
  });

  it('damaged octets that both read are the same elements to both', () => {
    fc.assert(
      fc.property(tree, fc.nat(), fc.integer({ min: 1, max: 255 }), (octets, place, change) => {
        const mutated = Buffer.from(octets);
        const at = place % mutated.length;
        mutated[at] = (mutated[at] ?? 0) ^ change;
        if (exercise(mutated, 'DER') === 'refused') return;
        // Read as DER by us: lengths and nesting must be what asn1js finds, whenever it reads the octets at all.
        const other = asn1jsRead(mutated);
        if (other === null) return;
        expect(rows(readWhole(mutated, 'DER'), 'DER')).toEqual(asn1jsRows(other));
      }),
      { numRuns: 500 },
    );
  });
});

describe('BER', () => {
  it('comes back as the DER it was made from', () => {
    fc.assert(
      fc.property(tree, fc.array(fc.nat(11), { minLength: 1, maxLength: 8 }), (octets, choices) => {
        const ber = asBer(readWhole(octets, 'DER'), choices);
        expect(definiteLengths(readWhole(ber, 'BER'))).toEqual(octets);
      }),
      { numRuns: 500 },
    );
  });
});

describe('hostile octets', () => {
  it('random octets are read or refused, never worse', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom<Rules>('DER', 'BER'),
        (octets, rules) => {
          expect(['read', 'refused']).toContain(exercise(Buffer.from(octets), rules));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('damaged DER is read or refused, never worse', () => {
    const edits = fc.array(
      fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('replace', 'insert', 'remove', 'cut')),
      {
        minLength: 1,
        maxLength: 6,
      },
    );
    fc.assert(
      fc.property(tree, edits, (octets, changes) => {
        let mutated = [...octets];
        for (const [place, value, kind] of changes) {
          const at = place % Math.max(1, mutated.length);
          if (kind === 'replace') mutated[at] = value;
          else if (kind === 'insert') mutated.splice(at, 0, value);
          else if (kind === 'remove') mutated.splice(at, 1);
          else mutated = mutated.slice(0, at);
        }
        for (const rules of ['DER', 'BER'] as const) {
          expect(['read', 'refused']).toContain(exercise(Buffer.from(mutated), rules));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('round trips', () => {
  it('integers', () => {
    fc.assert(
      fc.property(fc.bigInt(), (value) => {
        expect(bigInteger(readWhole(der.integer(value), 'DER'))).toBe(value);
      }),
    );
  });

  it('object identifiers', () => {
    const arcs = fc.array(fc.bigInt({ min: 0n, max: 2n ** 130n }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 }), arcs, (root, rest) => {
        const [second = 0n, ...others] = rest;
        const dotted = [root, root < 2 ? second % 40n : second, ...others].join('.');
        expect(decodeOid(encodeOid(dotted))).toBe(dotted);
      }),
    );
  });

  it('an identifier that is read is written in the same octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 30 }), (octets) => {
        let dotted: string;
        try {
          dotted = decodeOid(Buffer.from(octets));
        } catch (error) {
          expect(error).toMatchObject({ code: 'asn1.malformed' });
          return;
        }
        expect(encodeOid(dotted)).toEqual(Buffer.from(octets));
      }),
      { numRuns: 1_000 },
    );
  });

  it('times, to the second', () => {
    const years = {
      min: new Date('0001-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59Z'),
      noInvalidDate: true,
    };
    fc.assert(
      fc.property(fc.date(years), (date) => {
        const read = timeValue(readWhole(der.time(date), 'DER'), 'DER');
        expect(read.getTime()).toBe(Math.floor(date.getTime() / 1_000) * 1_000);
      }),
    );
  });
});
