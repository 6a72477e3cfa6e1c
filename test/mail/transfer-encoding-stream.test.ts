import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import {
  Base64Decoder,
  Base64Encoder,
  Base64Rewrap,
  base64Length,
  decodeBase64,
  encodeBase64,
} from '../../src/mail/base64.ts';
import { CanonicalLines, canonicalLines } from '../../src/mail/canonical.ts';
import { HazardSearch, surveyHazards } from '../../src/mail/hazards.ts';
import { LineEndsWithoutBlanks } from '../../src/mail/line-ends.ts';
import {
  decodeQuotedPrintable,
  encodeQuotedPrintable,
  QuotedPrintableDecoder,
  QuotedPrintableEncoder,
  QuotedPrintableRepair,
} from '../../src/mail/quoted-printable.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { type OctetTransform, transformed } from '../../src/octets/transform.ts';
import { collect, inChunks } from './support/streams.ts';

const text = fc
  .array(
    fc.constantFrom(
      ...[
        'From ',
        'Fr',
        'om ',
        '\r\n',
        '\r\n',
        '\n',
        '\r',
        ' ',
        '\t',
        '=',
        '==',
        '=4',
        '=3D',
        'C3',
        '.',
        'é',
      ],
      ...['x'.repeat(75), 'x'.repeat(998), 'QUJD'.repeat(19), 'QUI', '-', '_', '\0', '   \r\n', '=  \r\n'],
    ),
    { maxLength: 30 },
  )
  .map((words) => Buffer.from(words.join(''), 'latin1'));
const octets = fc.oneof(
  text,
  fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array)),
);
const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 });

function through(data: Buffer, chunks: readonly number[], transform: OctetTransform): Promise<Buffer> {
  return collect(transformed(inChunks(data, chunks).read(), transform));
}

/** The same code for a message in one piece and in many, errors included. */
async function sameAs(
  whole: (data: Buffer) => Buffer,
  begin: () => OctetTransform,
  input: fc.Arbitrary<Buffer> = octets,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(input, sizes, async (data, chunks) => {
      let expected: Buffer;
      try {
        expected = whole(data);
      } catch (error) {
        expect(error).toMatchObject({ code: 'mail.malformed-encoding' });
        await expect(through(data, chunks, begin())).rejects.toThrow(SealgateError);
        return;
      }
      expect((await through(data, chunks, begin())).toString('latin1')).toBe(expected.toString('latin1'));
    }),
    { numRuns: 500 },
  );
}

/** Base64 as it is written: rows of one length or of any, padding, and now and then something that is none. */
const base64Text = fc
  .tuple(
    fc.uint8Array({ maxLength: 600 }),
    fc.constantFrom(4, 60, 64, 76, 77, 998),
    fc.constantFrom('\r\n', '\n', ' \r\n', ''),
    fc.array(fc.tuple(fc.nat(1_000), fc.constantFrom('=', '-', '_', '*', ' ', '\f', '\0', 'A', '\n')), {
      maxLength: 1,
    }),
  )
  .map(([data, columns, end, changes]) => {
    const rows = Buffer.from(data)
      .toString('base64')
      .replace(new RegExp(`.{1,${columns}}`, 'g'), `$&${end}`);
    const out = Buffer.from(rows, 'latin1');
    for (const [at, octet] of changes) if (out.length > 0) out[at % out.length] = octet.charCodeAt(0);
    return out;
  });

/** RFC 2045 §6.8 octet by octet. */
function decodeSlowly(data: Buffer): Buffer {
  const characters = data.toString('latin1').replace(/[\r\n \t]/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(characters) || characters.length % 4 !== 0) {
    throw new SealgateError({ code: 'mail.malformed-encoding', publicText: '', duration: 'permanent' });
  }
  return Buffer.from(characters, 'base64');
}

describe('transfer encodings in chunks', () => {
  it('base64 is decoded as the grammar has it, in whole and wherever the chunks end', async () => {
    await sameAs(decodeSlowly, () => new Base64Decoder(), fc.oneof(base64Text, octets));
    await sameAs(decodeBase64, () => new Base64Decoder(), fc.oneof(base64Text, octets));
  });

  it('base64 is encoded in the same rows', async () => {
    await sameAs(encodeBase64, () => new Base64Encoder());
    for (let length = 0; length < 400; length++) {
      expect(encodeBase64(Buffer.alloc(length)).length).toBe(base64Length(length));
    }
  });

  it('quoted-printable is decoded the same, padding across chunks too', () =>
    sameAs(decodeQuotedPrintable, () => new QuotedPrintableDecoder()));

  it.each(['text', 'binary'] as const)('quoted-printable is encoded the same from %s', (input) =>
    sameAs(
      (data) => encodeQuotedPrintable(data, input),
      () => new QuotedPrintableEncoder(input),
    ),
  );

  it('refuses blanks without end', async () => {
    const blanks = Buffer.from(`a${' \t'.repeat(limits.mail.blankRunOctets)}\r\n`);
    expect(() => decodeQuotedPrintable(blanks)).toThrow(SealgateError);
    await expect(through(blanks, [1_000], new QuotedPrintableDecoder())).rejects.toThrow(SealgateError);
    const allowed = Buffer.from(`a${' '.repeat(limits.mail.blankRunOctets)}b`);
    expect(decodeQuotedPrintable(allowed)).toEqual(allowed);
    expect(await through(allowed, [10_000], new QuotedPrintableDecoder())).toEqual(allowed);
  });
});

describe('lines in chunks', () => {
  it('become canonical', () => sameAs(canonicalLines, () => new CanonicalLines()));

  it('lose the blanks at their ends', () =>
    sameAs(
      (data) => Buffer.from(data.toString('latin1').replace(/[ \t]+(?=\r\n|$)/g, ''), 'latin1'),
      () => new LineEndsWithoutBlanks(),
    ));

  it('show the same hazards, and those of their canonical form', () => {
    fc.assert(
      fc.property(octets, sizes, (data, chunks) => {
        const whole = surveyHazards(data);
        const search = new HazardSearch();
        for (let at = 0, i = 0; at < data.length; i++) {
          const next = at + (chunks[i % chunks.length] ?? 1);
          search.update(data.subarray(at, next));
          at = next;
        }
        expect(search.finish()).toEqual(whole);
        const canonical = canonicalLines(data);
        expect(surveyHazards(canonical)).toEqual({
          hazards: whole.canonical,
          canonical: whole.canonical,
          bareLineFeeds: 0,
        });
        expect(canonical.length).toBe(data.length + whole.bareLineFeeds);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('repairs in chunks', () => {
  const repaired = async (data: Buffer, chunks: readonly number[]) => {
    const lines = canonicalLines(data);
    return through(lines, chunks, new QuotedPrintableRepair());
  };

  it('quoted-printable says the same, in safe lines, wherever the chunks end', async () => {
    await fc.assert(
      fc.asyncProperty(octets, sizes, async (data, chunks) => {
        const whole = await repaired(data, [1_000_000]);
        expect((await repaired(data, chunks)).toString('latin1')).toBe(whole.toString('latin1'));
        for (const line of whole.toString('latin1').split('\r\n'))
          expect(line).toMatch(/^(?!From )(?:[\t -~]{0,75}[!-~])?$/);
        let said: string;
        try {
          said = decodeQuotedPrintable(canonicalLines(data)).toString('latin1');
        } catch {
          return;
        }
        expect(decodeQuotedPrintable(whole).toString('latin1')).toBe(said);
      }),
      { numRuns: 1_000 },
    );
  });

  it('base64 keeps its characters in rows of 76', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(base64Text, octets), sizes, async (data, chunks) => {
        const rows = (await through(data, chunks, new Base64Rewrap())).toString('latin1').split('\r\n');
        expect(rows.pop()).toBe('');
        expect(rows.join('')).toBe(data.toString('latin1').replace(/[^A-Za-z0-9+/=]/g, ''));
        expect(rows.slice(0, -1).every((row) => row.length === 76)).toBe(true);
      }),
    );
  });
});

it('a chunk is never larger than a chunk may be', async () => {
  const data = Buffer.alloc(1_000_000, 'é \n');
  for (const transform of [new Base64Encoder(), new QuotedPrintableEncoder('text'), new CanonicalLines()]) {
    for await (const chunk of transformed(bufferSource(data).read(), transform)) {
      expect(chunk.length).toBeGreaterThan(0);
      expect(chunk.length).toBeLessThanOrEqual(65_536);
    }
  }
});
