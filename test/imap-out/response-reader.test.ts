import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Response } from '../../src/imap-out/response.ts';
import { capabilitiesIn, parseResponse } from '../../src/imap-out/response.ts';
import { ResponseReader } from '../../src/imap-out/response-reader.ts';
import { limits } from '../../src/limits.ts';

/** @returns what was read, and why it ended */
function readAll(chunks: readonly Buffer[]): { responses: Response[]; reason: string | null } {
  const reader = new ResponseReader();
  const responses: Response[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let read = reader.next(); read !== null; read = reader.next()) {
      if (read.kind === 'malformed') return { responses, reason: read.reason };
      responses.push(read.response);
    }
  }
  return { responses, reason: null };
}

const text = (written: string): Buffer => Buffer.from(written, 'latin1');

describe('responses of a mail server', () => {
  it.each<[string, Response]>([
    ['+ ', { kind: 'continue', text: '' }],
    ['+', { kind: 'continue', text: '' }],
    ['+ go on', { kind: 'continue', text: 'go on' }],
    ['* OK hello', { kind: 'status', tag: null, status: 'OK', code: null, text: 'hello' }],
    ['* ok', { kind: 'status', tag: null, status: 'OK', code: null, text: '' }],
    ['* BYE over', { kind: 'status', tag: null, status: 'BYE', code: null, text: 'over' }],
    [
      'A3 NO [TRYCREATE] no such mailbox',
      {
        kind: 'status',
        tag: 'A3',
        status: 'NO',
        code: { name: 'TRYCREATE', text: '' },
        text: 'no such mailbox',
      },
    ],
    [
      'A12 OK [APPENDUID 38505 3955] done',
      {
        kind: 'status',
        tag: 'A12',
        status: 'OK',
        code: { name: 'APPENDUID', text: '38505 3955' },
        text: 'done',
      },
    ],
    ['* 3 EXISTS', { kind: 'data', name: '3', text: 'EXISTS' }],
    ['* CAPABILITY IMAP4rev1', { kind: 'data', name: 'CAPABILITY', text: 'IMAP4rev1' }],
  ])('%s', (line, expected) => {
    expect(parseResponse(line)).toEqual(expected);
  });

  it.each(['', ' ', '*', 'A1', 'A1 BYE x', 'A1 PREAUTH x', 'A1 FETCH', 'zz OK', '** OK x', '+x', 'A1  OK'])(
    'what is none: %j',
    (line) => {
      expect(parseResponse(line)).toBeNull();
    },
  );

  it('says capabilities in three places', () => {
    const named = (line: string) => [...(capabilitiesIn(parseResponse(line) as Response) ?? ['none'])];
    expect(named('* CAPABILITY IMAP4rev1 auth=plain')).toEqual(['IMAP4REV1', 'AUTH=PLAIN']);
    expect(named('* OK [CAPABILITY IMAP4rev1 LITERAL+] hello')).toEqual(['IMAP4REV1', 'LITERAL+']);
    expect(named('A1 OK [CAPABILITY IMAP4rev1] in')).toEqual(['IMAP4REV1']);
    expect(named('A1 OK CAPABILITY completed')).toEqual(['none']);
  });

  it('whatever the chunks are, reads the same, and never what is in a literal', () => {
    const stream = text(
      '* OK hello\r\n* LIST () "/" {14}\r\nA1 OK pretence\r\nA1 NO [TRYCREATE] really\r\n* X ~{0}\r\n tail\r\n',
    );
    const whole = readAll([stream]);
    expect(whole.responses).toEqual([
      { kind: 'status', tag: null, status: 'OK', code: null, text: 'hello' },
      { kind: 'data', name: 'LIST', text: '() "/" ""' },
      { kind: 'status', tag: 'A1', status: 'NO', code: { name: 'TRYCREATE', text: '' }, text: 'really' },
      { kind: 'data', name: 'X', text: '"" tail' },
    ]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (sizes) => {
        const chunks: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          chunks.push(stream.subarray(at, at + size));
          at += size;
        }
        expect(readAll(chunks)).toEqual(whole);
      }),
      { numRuns: 100 },
    );
  });

  it.each<[string, Buffer]>([
    ['a bare LF', text('* OK hello\n')],
    ['a bare CR', text('* OK he\rllo\r\n')],
    ['a NUL', text('* OK he\0llo\r\n')],
    ['no response', text('hello\r\n')],
    ['a line without an end', Buffer.alloc(limits.imapOut.lineOctets + 1, 0x61)],
    ['a line that is too long', text(`* OK ${'a'.repeat(limits.imapOut.lineOctets)}\r\n`)],
    ['a literal that is too long', text('* LIST {9999999999}\r\n')],
    ['literals without an end', text('* X {500000}\r\n'.concat('a'.repeat(500_000), ' {600000}\r\n'))],
  ])('%s is the end', (_, octets) => {
    expect(readAll([octets]).reason).toMatch(/^it sent /);
  });
});
