import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinMessage, splitMessage } from '../../src/mail/compose.ts';
import { decodeEncodedWords, encodeWords } from '../../src/mail/encoded-word.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { readMediaType } from '../../src/mail/media-type.ts';
import { withParameters } from '../../src/mail/media-type-writing.ts';
import { sevenBitSafe } from '../../src/mail/seven-bit-safe.ts';
import {
  decodeBase64,
  decodeBody,
  decodeQuotedPrintable,
  encodeBase64,
  encodeQuotedPrintable,
} from '../../src/mail/transfer-encoding.ts';

/** Every writer with its reader. */

const octets = fc.uint8Array({ maxLength: 500 }).map((each) => Buffer.from(each));

describe('encodings', () => {
  it('base64 and quoted-printable give any octets back', () => {
    fc.assert(
      fc.property(octets, (value) => {
        expect(decodeBase64(encodeBase64(value))).toEqual(value);
        expect(decodeQuotedPrintable(encodeQuotedPrintable(value, 'binary'))).toEqual(value);
      }),
    );
  });

  it('encoded words give any text back', () => {
    const text = fc.string({ unit: 'binary', maxLength: 200 }).filter((each) => !each.includes('\u{FEFF}'));
    fc.assert(
      fc.property(text, (value) => {
        const words = encodeWords(value);
        expect(decodeEncodedWords(words)).toBe(value);
        for (const line of words.split('\r\n')) expect(line.length).toBeLessThanOrEqual(76);
      }),
    );
  });
});

describe('messages', () => {
  const line = fc.string({ unit: fc.constantFrom(...'abc XYZ.-=äß\t'), maxLength: 60 });
  const charsets = ['utf-8', 'iso-8859-1'] as const;
  const message = fc
    .record({
      subject: fc.string({ unit: fc.constantFrom(...'ab c') }),
      lines: fc.array(line),
      charset: fc.constantFrom(...charsets),
    })
    .map(({ subject, lines, charset }) => {
      const body = Buffer.from(
        lines.map((each) => `${each}\r\n`).join(''),
        charset === 'utf-8' ? 'utf8' : 'latin1',
      );
      const header = `From: a@example.org\r\nSubject: ${subject}\r\nContent-Type: text/plain; charset=${charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n`;
      return Buffer.concat([Buffer.from(header, 'latin1'), body]);
    });

  it('made safe say what they said', () => {
    fc.assert(
      fc.property(message, (value) => {
        const { entity } = splitMessage(readMessage(value));
        const safe = sevenBitSafe(entity);
        const before = readMessage(entity);
        const after = readMessage(safe);
        expect(decodeBody(safe, after.root)).toEqual(decodeBody(entity, before.root));
        expect(after.root.mediaType).toEqual(before.root.mediaType);
        expect(sevenBitSafe(safe)).toEqual(safe);
      }),
    );
  });

  it('taken apart and put together again are the same, but for where the fields stand', () => {
    fc.assert(
      fc.property(message, (value) => {
        const { outer, entity } = splitMessage(readMessage(value));
        const inside = readMessage(entity);
        const header = entity.toString('latin1', inside.root.header.start, inside.root.header.end);
        const joined = joinMessage(outer, header, entity.subarray(inside.root.body.start));
        const [one, other] = [readMessage(value), readMessage(joined)];
        expect(decodeBody(joined, other.root)).toEqual(decodeBody(value, one.root));
        const named = (fields: typeof one.root.fields) =>
          fields
            .map(({ name, value: text }) => `${name.toLowerCase()}: ${text}`)
            .filter((each) => !each.startsWith('mime-version'))
            .sort();
        expect(named(other.root.fields)).toEqual(named(one.root.fields));
      }),
    );
  });
});

describe('parameters of a media type', () => {
  it('are read as they were written', () => {
    const name = fc.constantFrom('hp', 'protected-headers', 'x-a', 'boundary-of');
    const value = fc.string({ unit: fc.constantFrom(...'ab"\\ ;=()') });
    const field = fc.constantFrom(
      'Content-Type: text/plain; charset=utf-8\r\n',
      'Content-Type: multipart/mixed;\r\n boundary="b b"\r\n',
      'Content-Type: text/html; hp="clear"; x-a=b;\r\n',
    );
    fc.assert(
      fc.property(field, fc.dictionary(name, value), (before, added) => {
        const written =
          withParameters(Buffer.from(before), new Map(Object.entries(added)))?.toString('latin1') ?? '';
        const unfolded = written
          .slice(written.indexOf(':') + 1)
          .replaceAll(/\r\n(?=[ \t])/g, '')
          .trim();
        const read = readMediaType(unfolded);
        for (const [parameter, text] of Object.entries(added))
          expect(read?.parameters.get(parameter)).toBe(text);
      }),
    );
  });
});
