import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import {
  decodeBase64,
  decodeQuotedPrintable,
  encodeBase64,
  encodeQuotedPrintable,
} from '../../src/mail/transfer-encoding.ts';

const octets = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc
    .array(fc.constantFrom('From ', '\r\n', '\n', '\r', ' ', '\t', '=', '.', 'wide é', 'x'.repeat(80)), {
      maxLength: 30,
    })
    .map((words) => Buffer.from(words.join(''))),
);

describe('base64 (RFC 2045 §6.8)', () => {
  it('is what openssl writes', () => {
    const data = Buffer.from(Array.from({ length: 1_000 }, (_, i) => (i * 7) & 255));
    for (const length of [0, 1, 56, 57, 58, 114, 1_000]) {
      const part = data.subarray(0, length);
      // openssl writes 64 columns: compare the characters, and our columns on their own.
      const theirs = spawnSync('openssl', ['base64', '-A'], { input: part }).stdout.toString();
      const lines = encodeBase64(part).toString().split('\r\n');
      expect(lines.pop()).toBe('');
      expect(lines.join('')).toBe(theirs);
      expect(lines.slice(0, -1).every((line) => line.length === 76)).toBe(true);
    }
  });

  it('comes back', () => {
    fc.assert(fc.property(octets, (data) => decodeBase64(encodeBase64(data)).equals(Buffer.from(data))));
  });

  it.each(['A', 'AA', 'AAA', 'AA=A', 'AAAA====', '=AAA', 'AAA=AAAA', 'AA-_', 'AAAA\0', 'AAAé', 'AAAA, AAAA'])(
    'refuses %j',
    (data) => {
      expect(() => decodeBase64(Buffer.from(data))).toThrow(SealgateError);
    },
  );

  it('skips blanks and line ends of every kind', () => {
    expect(decodeBase64(Buffer.from(' aGVs\r\n\tbG8\n= ')).toString()).toBe('hello');
  });
});

describe('quoted-printable (RFC 2045 §6.7)', () => {
  it('has short ASCII lines without trailing blanks or "From " and comes back', () => {
    fc.assert(
      fc.property(octets, fc.constantFrom('text' as const, 'binary' as const), (data, input) => {
        const encoded = encodeQuotedPrintable(data, input);
        const lines = encoded.toString('latin1').split('\r\n');
        for (const line of lines) expect(line).toMatch(/^(?!From )(?:[\t -~]{0,75}[!-~])?$/);
        const expected = Buffer.from(data).toString('latin1');
        expect(decodeQuotedPrintable(encoded).toString('latin1')).toBe(
          input === 'text' ? expected.replace(/\r?\n/g, '\r\n') : expected,
        );
      }),
      { numRuns: 500 },
    );
  });

  it('is read by python as we read it', () => {
    const data = Buffer.from(`${'Ünïcödé and a long line '.repeat(20)}\r\nFrom me \t\r\n=20=\r\n.\r\n`);
    const encoded = encodeQuotedPrintable(data, 'text');
    const run = spawnSync(
      'python3',
      ['-c', 'import sys,quopri; quopri.decode(sys.stdin.buffer, sys.stdout.buffer)'],
      {
        input: encoded,
      },
    );
    expect(run.stdout).toEqual(data);
  });

  it('drops transport padding', () => {
    expect(decodeQuotedPrintable(Buffer.from('a \t\r\nb=  \r\nc=3d \nd=')).toString()).toBe('a\r\nbc=\nd');
  });

  it.each(['=', '=4', '=zz', 'a=4\r\n', '= x'])('refuses or drops %j by the grammar', (data) => {
    if (data === '=') expect(decodeQuotedPrintable(Buffer.from(data)).length).toBe(0);
    else expect(() => decodeQuotedPrintable(Buffer.from(data))).toThrow(SealgateError);
  });
});
