import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatReply, reply } from '../../src/smtp/reply.ts';
import { ReplyReader } from '../../src/smtp/reply-reader.ts';

function read(octets: Buffer, step = octets.length): unknown[] {
  const reader = new ReplyReader();
  const found: unknown[] = [];
  for (let at = 0; at < octets.length; at += Math.max(1, step)) {
    reader.push(octets.subarray(at, at + Math.max(1, step)));
    for (let outcome = reader.next(); outcome !== null; outcome = reader.next()) {
      found.push(outcome.kind === 'reply' ? outcome.reply : outcome.kind);
      if (outcome.kind === 'malformed') return found;
    }
  }
  return found;
}

test.each([
  ['250 ok\r\n', [{ code: 250, lines: ['ok'] }]],
  ['250-a\r\n250-\r\n250 c\r\n', [{ code: 250, lines: ['a', '', 'c'] }]],
  ['250\r\n', [{ code: 250, lines: [''] }]],
  ['334 \r\n', [{ code: 334, lines: [''] }]],
  [
    '250 a\r\n550 5.1.1 b\r\n',
    [
      { code: 250, lines: ['a'] },
      { code: 550, lines: ['5.1.1 b'] },
    ],
  ],
  ['571 5.7.1 no\r\n', [{ code: 571, lines: ['5.7.1 no'] }]],
  ['550 5.1.1 Jürgen unbekannt\r\n', [{ code: 550, lines: ['5.1.1 Jürgen unbekannt'] }]],
  // Not strict, and therefore the end.
  ['250-a\r\n251 b\r\n', ['malformed']],
  ['250 a\n', ['malformed']],
  ['250 a\rb\r\n', ['malformed']],
  ['25 a\r\n', ['malformed']],
  ['2500 a\r\n', ['malformed']],
  ['150 a\r\n', ['malformed']],
  ['650 a\r\n', ['malformed']],
  ['250_a\r\n', ['malformed']],
  ['hello\r\n', ['malformed']],
  ['\r\n', ['malformed']],
  ['250 a\0b\r\n', ['malformed']],
])('RFC 5321 §4.2: %j is read as %j', (text, expected) => {
  const octets = Buffer.from(text);
  expect(read(octets)).toEqual(expected);
  expect(read(octets, 1)).toEqual(expected);
});

test('a reply in Latin-1 is read, not refused', () => {
  expect(read(Buffer.from('550 J\xfcrgen\r\n', 'latin1'))).toEqual([{ code: 550, lines: ['Jürgen'] }]);
});

test('a reply without end is bounded', () => {
  expect(read(Buffer.from('250-x\r\n'.repeat(200)))).toEqual(['malformed']);
  expect(read(Buffer.alloc(10_000, '2'))).toEqual(['malformed']);
});

test('what has been heard and not asked for is noticed', () => {
  const reader = new ReplyReader();
  reader.push(Buffer.from('220 go\r\n'));
  expect(reader.next()?.kind).toBe('reply');
  expect(reader.hasUnread).toBe(false);
  reader.push(Buffer.from('250-AUTH'));
  expect(reader.hasUnread).toBe(true);
});

test('response splitting: no text ends its line early', () => {
  expect(formatReply(reply(550, '5.7.1', 'no\r\n250 yes'))).toBe('550 5.7.1 no  250 yes\r\n');
  expect(formatReply({ code: 250, lines: ['a\n', '\0b'] })).toBe('250-a \r\n250  b\r\n');
});

test('an empty challenge keeps its blank', () => {
  expect(formatReply(reply(334, null, ''))).toBe('334 \r\n');
});

test('property: what is written is read back', () => {
  const line = fc
    .string({ unit: 'grapheme', maxLength: 40 })
    .map((text) => text.replace(/[\x00-\x08\x0a-\x1f\x7f]/g, ''));
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 599 }),
      fc.array(line, { minLength: 1, maxLength: 6 }),
      (code, lines) => {
        const octets = Buffer.from(formatReply({ code, lines }), 'utf8');
        expect(read(octets)).toEqual([{ code, lines }]);
        expect(read(octets, 1)).toEqual([{ code, lines }]);
      },
    ),
    { numRuns: 300 },
  );
});
