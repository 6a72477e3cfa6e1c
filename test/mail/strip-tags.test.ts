import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeWords } from '../../src/mail/encoded-word.ts';
import { fieldText } from '../../src/mail/field-text.ts';
import { withoutTags } from '../../src/mail/strip-tags.ts';
import { subjectTags } from '../../src/mail/subject-tags.ts';

const b64 = (text: string, charset: BufferEncoding = 'utf8') => Buffer.from(text, charset).toString('base64');

describe('a Subject without a tag', () => {
  test.each([
    [' [encrypt] Offer\r\n', ' Offer\r\n'],
    [' [ENCRYPT]Offer\r\n', ' Offer\r\n'],
    [' [project-7] [encrypt] Offer  two\r\n', ' [project-7] Offer  two\r\n'],
    [' [encrypt]\r\n', '\r\n'],
    [' [encrypt]\r\n Offer\r\n', ' Offer\r\n'],
    [' [x]\r\n [encrypt]\r\n Offer\r\n', ' [x]\r\n Offer\r\n'],
    [' [encrypt] [x]', ' [x]'],
    // Words behind the tag keep every octet, their odd spelling too.
    [' [encrypt] =?UTF-8?q?gr=c3=bcn?= =?x-odd?B?AAA=?=\r\n', ' =?UTF-8?q?gr=c3=bcn?= =?x-odd?B?AAA=?=\r\n'],
    [' [encrypt]\r\n =?iso-8859-1?Q?gr=FCn?=\r\n', ' =?iso-8859-1?Q?gr=FCn?=\r\n'],
    // A word with the tag and more is written again in its own charset and encoding; the next one stays.
    [
      ' =?iso-8859-1?Q?=5Bencrypt=5D_gr=FCn?= =?utf-8?q?a?=\r\n',
      ' =?iso-8859-1?Q?gr=FCn?= =?utf-8?q?a?=\r\n',
    ],
    [` =?utf-8*de?B?${b64('[encrypt] grün')}?=\r\n`, ` =?utf-8*de?B?${b64('grün')}?=\r\n`],
    [` =?utf-8?B?${b64('[enc')}?=\r\n =?utf-8?B?${b64('rypt] a')}?= b\r\n`, ` =?utf-8?B?${b64('a')}?= b\r\n`],
    [' =?utf-8?Q?=5Bencrypt=5D?= Offer\r\n', ' Offer\r\n'],
    // Nothing to take out: no octet changes.
    ['   Offer [encrypt]\r\n', '   Offer [encrypt]\r\n'],
    [' Re: [encrypt] Offer\r\n', ' Re: [encrypt] Offer\r\n'],
    [' =?utf-8?Q?=5Bother=5D?=\r\n', ' =?utf-8?Q?=5Bother=5D?=\r\n'],
    // A charset in which a letter is no octet: written anew, so that it reads right.
    [
      ` =?utf-16le?B?${Buffer.from('[encrypt] grün', 'utf16le').toString('base64')}?=\r\n`,
      ` ${encodeWords('grün')}\r\n`,
    ],
  ])('%j', (raw, left) => {
    expect(withoutTags(raw, ['encrypt'])).toBe(left);
  });

  test('whatever it is made of, reads as before without the tags, and is one field', () => {
    const word = fc
      .tuple(
        fc.constantFrom('[encrypt] ', '[sign]', '[x] ', 'grün ', 'a', ' ', '€'),
        fc.constantFrom('B', 'Q'),
      )
      .map(([text, encoding]) =>
        encoding === 'B'
          ? `=?utf-8?B?${b64(text)}?=`
          : `=?utf-8?q?${[...Buffer.from(text)].map((one) => `=${one.toString(16).padStart(2, '0')}`).join('')}?=`,
      );
    const piece = fc.oneof(
      word,
      fc.constantFrom('[encrypt]', '[sign] ', '[x]', 'Offer', ' ', '\r\n ', '\t', '=?', '?=', '[', ']', 'é'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (parts) => {
        const body = Buffer.from(parts.join(''))
          .toString('latin1')
          .replace(/(\r\n[ \t]+)+(?=\r\n|$)/g, ' ');
        const raw = ` ${body}\r\n`;
        const text = (value: string) => fieldText(value.replace(/\r\n(?=[ \t])|\r\n$/g, ''));
        const tags = ['encrypt', 'sign'];
        const removed = subjectTags(text(raw)).filter(({ tag }) => tags.includes(tag));
        let wanted = text(raw);
        for (const { start, end } of removed.toReversed())
          wanted = wanted.slice(0, start) + wanted.slice(end);
        const left = withoutTags(raw, tags);
        expect(text(left).trim()).toBe(wanted.trim());
        expect(left).toMatch(/^[^\r\n]*(\r\n[ \t][^\r\n]*)*\r\n$/);
        if (removed.length === 0) expect(left).toBe(raw);
      }),
      { numRuns: 3_000 },
    );
  });

  test('a fold within the blanks behind a tag stays a fold', () => {
    const [x, tag, blank, rest] = ['[x] ', '[encrypt] ', ' ', 'grün '].map(
      (text) => `=?utf-8?B?${b64(text)}?=`,
    );
    expect(withoutTags(` ${x}${tag}\r\n ${blank}${rest}\r\n`, ['encrypt'])).toBe(` ${x}\r\n ${rest}\r\n`);
  });

  test('however long and however often folded', () => {
    const folded = `${'\r\n a'.repeat(60_000)}\r\n`;
    expect(withoutTags(` [encrypt]${folded}`, ['encrypt'])).toBe(` a${folded.slice(4)}`);
    const words = '=?utf-8?B?W3NpZ25d?= '.repeat(10_000);
    expect(withoutTags(` ${words}end\r\n`, ['sign'])).toBe(' end\r\n');
  });
});
