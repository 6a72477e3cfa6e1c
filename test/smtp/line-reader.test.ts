import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineReader } from '../../src/smtp/line-reader.ts';

/** All that comes out when the octets arrive cut at these positions. */
function read(octets: Buffer, cuts: readonly number[], max = 64): string[] {
  const reader = new LineReader(max);
  const found: string[] = [];
  let from = 0;
  for (const cut of [...cuts, octets.length]) {
    reader.push(octets.subarray(from, cut));
    from = cut;
    for (let line = reader.next(); line !== null; line = reader.next()) {
      found.push(line.kind === 'line' ? `line ${line.octets.toString('latin1')}` : line.kind);
      if (line.kind === 'bare-line-end') return found;
    }
  }
  return found;
}

const everyOctet = (octets: Buffer) => Array.from(octets, (_, i) => i).slice(1);

test.each([
  ['EHLO a\r\nQUIT\r\n', ['line EHLO a', 'line QUIT']],
  ['\r\n', ['line ']],
  ['unfinished', []],
  ['unfinished\r', []],
  ['NOOP\nQUIT\r\n', ['bare-line-end']],
  ['NOOP\rQUIT\r\n', ['bare-line-end']],
  ['NOOP\r\r\n', ['bare-line-end']],
  ['NOOP\n\r\n', ['bare-line-end']],
  ['NOOP\r\nQUIT\n', ['line NOOP', 'bare-line-end']],
  ['\n', ['bare-line-end']],
  ['NOOP\r\n\nQUIT\r\n', ['line NOOP', 'bare-line-end']],
  ['\r', []],
])('RFC 5321 §2.3.8: %j gives %j', (text, expected) => {
  const octets = Buffer.from(text, 'latin1');
  expect(read(octets, [])).toEqual(expected);
  expect(read(octets, everyOctet(octets))).toEqual(expected);
});

test('a line of exactly the limit passes, one octet more does not, and the next line is read', () => {
  const fits = `${'x'.repeat(62)}\r\n`;
  const over = `${'x'.repeat(63)}\r\n`;
  for (const cuts of [[], [10], [63], [64], [65]]) {
    expect(read(Buffer.from(`${fits}NOOP\r\n`), cuts)).toEqual([`line ${'x'.repeat(62)}`, 'line NOOP']);
    expect(read(Buffer.from(`${over}NOOP\r\n`), cuts)).toEqual(['too-long', 'line NOOP']);
  }
});

test('an endless line is not kept', () => {
  const reader = new LineReader(1_024);
  const chunk = Buffer.alloc(65_536, 'x');
  const seen: string[] = [];
  for (let i = 0; i < 100; i++) {
    reader.push(chunk);
    for (let line = reader.next(); line !== null; line = reader.next()) seen.push(line.kind);
    expect(reader.unread).toBe(0);
  }
  expect(seen).toEqual(['too-long']);
});

test('property: where the segments are cut makes no difference', () => {
  const piece = fc.constantFrom('a', 'bc', '\r\n', '\r\n', '\r\n', '\r', '\n', 'x'.repeat(40));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.array(fc.nat(200), { maxLength: 8 }), (pieces, at) => {
      const octets = Buffer.from(pieces.join(''));
      const cuts = at.filter((cut) => cut < octets.length).sort((a, b) => a - b);
      const whole = read(octets, []);
      expect(read(octets, cuts)).toEqual(whole);
      expect(read(octets, everyOctet(octets))).toEqual(whole);
    }),
    { numRuns: 500 },
  );
});

test('property: the rest is exactly what has not been given out', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 20 }), { maxLength: 10 }), (chunks) => {
      const reader = new LineReader(1_000);
      reader.push(Buffer.from('NOOP\r\nQUI'));
      reader.next();
      for (const chunk of chunks) {
        if (chunk.includes(10)) return;
        reader.push(Buffer.from(chunk));
        reader.next();
      }
      expect(reader.takeRest()).toEqual(Buffer.concat([Buffer.from('QUI'), ...chunks]));
      expect(reader.unread).toBe(0);
    }),
    { numRuns: 200 },
  );
});
