import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { universal } from '../../src/asn1/element.ts';
import type { IncrementalReader } from '../../src/asn1/incremental-reader.ts';
import { readOctets } from '../../src/asn1/read-octets.ts';
import { readBeginning, readStream, readThrough } from '../../src/asn1/read-stream.ts';
import { readWhole } from '../../src/asn1/reader.ts';
import { sequenceOf } from '../../src/asn1/sequence-reader.ts';
import { octetString } from '../../src/asn1/values.ts';
import * as der from '../../src/asn1/writer.ts';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { CHUNK_OCTETS, type OctetStream } from '../../src/octets/source.ts';

/** `SEQUENCE { INTEGER, [0] OPTIONAL, SEQUENCE { OBJECT IDENTIFIER, [0] EXPLICIT OCTET STRING OPTIONAL }, SET }`. */
type Head = { integer: Buffer; optional: Buffer | null; detached: boolean };
type Whole = Head & { set: Buffer };

const grammar = {
  head(reader: IncrementalReader): Head {
    reader.openUniversal(universal.sequence, 'outer');
    const integer = reader.universal(universal.integer, 'integer').raw;
    const optional = reader.optionalContext(0)?.raw ?? null;
    reader.openUniversal(universal.sequence, 'inner');
    reader.universal(universal.objectIdentifier, 'identifier');
    const detached = !reader.openContext(0);
    if (!detached) reader.beginContent('universal', universal.octetString, 'content');
    return { integer, optional, detached };
  },
  tail(reader: IncrementalReader, head: Head): Whole {
    if (!head.detached) reader.close();
    reader.close();
    const set = reader.universal(universal.set, 'set').raw;
    reader.close();
    reader.end();
    return { ...head, set };
  },
};

/** The same by the reader of elements, which wants all octets. */
function byElements(octets: Buffer): { value: Whole; content: Buffer } {
  const reader = sequenceOf(readWhole(octets, 'BER'), 'BER');
  const integer = reader.universal(universal.integer).raw;
  const optional = reader.optionalContext(0)?.raw ?? null;
  const inner = reader.sequence();
  inner.universal(universal.objectIdentifier);
  const string = inner.optionalExplicit(0);
  inner.end();
  const set = reader.universal(universal.set).raw;
  reader.end();
  const content = string === null ? Buffer.alloc(0) : octetString(string, 'BER');
  return { value: { integer, optional, detached: string === null, set }, content };
}

async function* inChunks(octets: Buffer, sizes: readonly number[]): OctetStream {
  let at = 0;
  for (let i = 0; at < octets.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield octets.subarray(at, at + size);
    at += size;
  }
}

async function byStream(
  octets: Buffer,
  sizes: readonly number[],
): Promise<{ value: Whole; content: Buffer }> {
  const pieces: Buffer[] = [];
  const value = await readThrough(inChunks(octets, sizes), grammar, (piece) => {
    expect(piece.length).toBeGreaterThan(0);
    expect(piece.length).toBeLessThanOrEqual(CHUNK_OCTETS);
    pieces.push(Buffer.from(piece));
  });
  return { value, content: Buffer.concat(pieces) };
}

async function outcomeOf<T>(run: () => T | Promise<T>): Promise<T | string> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}

/** One element with a definite length, in the shortest form or a longer one, or with an indefinite one. */
type Length = 'shortest' | 'long' | 'indefinite';
function element(identifier: number, length: Length, ...parts: readonly Buffer[]): Buffer {
  const octets = Buffer.concat(parts);
  if (length === 'shortest') return der.element(identifier, octets);
  if (length === 'indefinite')
    return Buffer.concat([Buffer.from([identifier, 0x80]), octets, Buffer.alloc(2)]);
  const header = Buffer.alloc(12);
  header.set([identifier, 0x8a]);
  header.writeUInt32BE(octets.length, 8);
  return Buffer.concat([header, octets]);
}

const length = fc.constantFrom<Length>('shortest', 'long', 'indefinite');
const definite = fc.constantFrom<Length>('shortest', 'long');
const simple = fc
  .tuple(definite, fc.uint8Array({ maxLength: 20 }))
  .map(([how, octets]) => element(0x04, how, Buffer.from(octets)));
const { string } = fc.letrec<{ string: Buffer }>((tie) => ({
  string: fc.oneof(
    { maxDepth: 4 },
    simple,
    fc
      .tuple(length, fc.array(tie('string'), { maxLength: 4 }))
      .map(([how, parts]) => element(0x24, how, ...parts)),
  ),
}));
const structure = fc
  .tuple(fc.array(length, { minLength: 5, maxLength: 5 }), fc.option(string), fc.option(string), simple)
  .map(([how, content, optional, rest]) => {
    const [outer, first, inner, explicit, set] = how as [Length, Length, Length, Length, Length];
    const identifier = der.oid('1.2.3');
    return element(
      0x30,
      outer,
      der.integer(5),
      ...(optional === null ? [] : [element(0xa0, first, optional)]),
      element(0x30, inner, identifier, ...(content === null ? [] : [element(0xa0, explicit, content)])),
      element(0x31, set, rest),
    );
  });
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 });

describe('octets that come piece by piece', () => {
  it('are read as they are when all of them are there, by each of the readers', async () => {
    await fc.assert(
      fc.asyncProperty(structure, sizes, async (octets, chunks) => {
        const expected = byElements(octets);
        expect(readOctets(octets, grammar)).toEqual(expected);
        expect(await byStream(octets, chunks)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  it('are refused as they are then, whatever the damage', async () => {
    const octet = fc.oneof(fc.nat(255), fc.constantFrom(0, 0x04, 0x24, 0x30, 0x31, 0x80, 0xa0));
    const change = fc.tuple(fc.nat(), octet, fc.constantFrom('replace', 'insert', 'cut', 'remove'));
    let accepted = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(structure, change, sizes, async (octets, [place, value, how], chunks) => {
        const at = place % octets.length;
        const middle = how === 'replace' || how === 'insert' ? [Buffer.from([value])] : [];
        const tail = how === 'cut' ? [] : [octets.subarray(how === 'insert' ? at : at + 1)];
        const damaged = Buffer.concat([octets.subarray(0, at), ...middle, ...tail]);
        const expected = await outcomeOf(() => byElements(damaged));
        expect(await outcomeOf(() => readOctets(damaged, grammar))).toEqual(expected);
        expect(await outcomeOf(() => byStream(damaged, chunks))).toEqual(expected);
        if (typeof expected === 'string') refused++;
        else accepted++;
      }),
      { numRuns: 1_000 },
    );
    expect(accepted).toBeGreaterThan(20);
    expect(refused).toBeGreaterThan(20);
  });

  it('are taken no further than the beginning that somebody asks for', async () => {
    let closed = false;
    async function* octets(): OctetStream {
      try {
        yield Buffer.from('3080', 'hex');
        yield der.integer(7);
        yield Buffer.alloc(200);
        throw new Error('more than enough');
      } finally {
        closed = true;
      }
    }
    const read = (reader: IncrementalReader) => {
      reader.openUniversal(universal.sequence, 'outer');
      return reader.element('integer').content;
    };
    expect(await readBeginning(octets(), read)).toEqual(Buffer.from([7]));
    expect(closed).toBe(true);
  });

  it('are closed when whoever reads them stops', async () => {
    let closed = 0;
    const octets = messageAround(randomBytes(200_000));
    async function* source(): OctetStream {
      try {
        yield* inChunks(octets, [50_000]);
      } finally {
        closed++;
      }
    }
    for await (const piece of readStream(source(), grammar)) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    const failing = readThrough(source(), grammar, () => Promise.reject(new Error('no room')));
    await expect(failing).rejects.toThrow('no room');
    expect(closed).toBe(2);
  });

  it('leave others their turn, although none of them has to be waited for', async () => {
    const octets = messageAround(Buffer.alloc(8 * 1024 * 1024));
    let turns = 0;
    let done = false;
    const tick = (): void => {
      turns++;
      if (!done) setImmediate(tick);
    };
    setImmediate(tick);
    await readThrough(inChunks(octets, [CHUNK_OCTETS]), grammar, () => undefined);
    done = true;
    expect(turns).toBeGreaterThan(16);
  });
});

function messageAround(content: Buffer): Buffer {
  const string = der.explicit(0, der.octetString(content));
  return der.sequence(der.integer(1), der.sequence(der.oid('1.2.3'), string), der.setOf([]));
}

describe('small segments', () => {
  it('come copied together', async () => {
    const content = randomBytes(300_000);
    const segments: Buffer[] = [];
    for (let at = 0; at < content.length; at += 1_000) {
      segments.push(der.octetString(content.subarray(at, at + 1_000)));
    }
    const string = element(0xa0, 'indefinite', element(0x24, 'indefinite', ...segments));
    const octets = der.sequence(der.integer(1), der.sequence(der.oid('1.2.3'), string), der.setOf([]));
    const pieces: number[] = [];
    await readThrough(inChunks(octets, [10_000]), grammar, (piece) => void pieces.push(piece.length));
    expect(pieces).toEqual([65_000, 65_000, 65_000, 65_000, 40_000]);
    expect(readOctets(octets, grammar).content.equals(content)).toBe(true);
  });
});

describe('bounds', () => {
  const big = limits.asn1.structureOctets;

  it('what is not content is held to one bound, all of it together', async () => {
    const half = element(0xa0, 'shortest', der.octetString(Buffer.alloc(big / 2)));
    const set = der.element(0x31, der.octetString(Buffer.alloc(big / 2)));
    const inner = der.sequence(der.oid('1.2.3'));
    const octets = der.sequence(der.integer(1), half, inner, set);
    const tooLarge = 'asn1.malformed';
    expect(await outcomeOf(() => readOctets(octets, grammar))).toBe(tooLarge);
    expect(await outcomeOf(() => byStream(octets, [CHUNK_OCTETS]))).toBe(tooLarge);
    const smaller = der.sequence(der.integer(1), inner, set);
    expect((await byStream(smaller, [CHUNK_OCTETS])).value.set.equals(set)).toBe(true);
  });

  it('what claims too much is refused before it comes, also without a length', async () => {
    let given = 0;
    async function* endless(beginning: Buffer, more: Buffer): OctetStream {
      yield beginning;
      for (;;) {
        given += more.length;
        yield more;
      }
    }
    const integer = der.integer(1);
    const claimed = Buffer.concat([Buffer.from('3080', 'hex'), integer, der.header(0xa0, big)]);
    const zeros = endless(claimed, Buffer.alloc(CHUNK_OCTETS));
    await expect(readThrough(zeros, grammar, () => undefined)).rejects.toMatchObject({
      code: 'asn1.malformed',
    });
    expect(given).toBeLessThanOrEqual(CHUNK_OCTETS);
    given = 0;
    const open = Buffer.concat([Buffer.from('3080', 'hex'), integer, Buffer.from('a080', 'hex')]);
    const strings = Buffer.concat(Array.from({ length: 60 }, () => der.octetString(Buffer.alloc(1_000))));
    const growing = endless(open, strings);
    await expect(readThrough(growing, grammar, () => undefined)).rejects.toMatchObject({
      code: 'asn1.malformed',
    });
    expect(given).toBeLessThan(3 * big);
  });
});
